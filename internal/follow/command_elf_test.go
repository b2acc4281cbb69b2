package follow

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"net-watcher/internal/check"
)

// elfFile returns an ELF file for a kind of processor, which names a loader and has
// nothing else.
func elfFile(t *testing.T, class elf.Class, machine elf.Machine, order binary.ByteOrder, loader string) []byte {
	t.Helper()
	ident := [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(class), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)}
	if order == binary.BigEndian {
		ident[elf.EI_DATA] = byte(elf.ELFDATA2MSB)
	}
	length := uint64(len(loader) + 1)
	var headers []any
	if class == elf.ELFCLASS32 {
		headers = []any{
			elf.Header32{Ident: ident, Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: 1, Phoff: 52, Ehsize: 52, Phentsize: 32, Phnum: 2},
			elf.Prog32{Type: uint32(elf.PT_LOAD), Vaddr: 0x10000, Filesz: 116, Memsz: 116, Flags: uint32(elf.PF_R | elf.PF_X), Align: 0x1000},
			elf.Prog32{Type: uint32(elf.PT_INTERP), Off: 116, Filesz: uint32(length)},
		}
	} else {
		headers = []any{
			elf.Header64{Ident: ident, Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: 1, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 2},
			elf.Prog64{Type: uint32(elf.PT_LOAD), Vaddr: 0x10000, Filesz: 176, Memsz: 176, Flags: uint32(elf.PF_R | elf.PF_X), Align: 0x1000},
			elf.Prog64{Type: uint32(elf.PT_INTERP), Off: 176, Filesz: length},
		}
	}
	var file bytes.Buffer
	for _, h := range headers {
		check.Must(t, binary.Write(&file, order, h))
	}
	file.WriteString(loader + "\x00")
	return file.Bytes()
}

// The loader of a program is found for each kind of processor, and in nothing that is cut.
func TestELFLoader(t *testing.T) {
	const name = "/lib/ld.so.1"
	for _, class := range []elf.Class{elf.ELFCLASS32, elf.ELFCLASS64} {
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			file := elfFile(t, class, elf.EM_MIPS, order, name)
			check.Equal(t, class.String()+" "+order.String(), name, elfLoader(file))
			for n := elfMachine + 2; n < len(file); n++ {
				check.Equal(t, class.String()+" "+order.String()+", cut", "", elfLoader(file[:n]))
			}
		}
	}
}

func TestIsELF(t *testing.T) {
	start := append([]byte(elfMagic), make([]byte, 16)...)
	check.Equal(t, "as long as need be", true, isELF(start))
	check.Equal(t, "shorter", false, isELF(start[:19]))
	check.Equal(t, "something else", false, isELF(make([]byte, 20)))
}

// Whatever a file has in its headers, its loader is not looked for beyond its end.
func FuzzELFLoader(f *testing.F) {
	f.Add([]byte("\x7fELF\x02\x01\x01            \x3e "))
	f.Fuzz(func(t *testing.T, file []byte) {
		if isELF(file) && len(elfLoader(file)) > len(file) {
			t.Error("the loader is longer than its file")
		}
	})
}

// A program that needs a loader which is not there is known at the start. One for
// another kind of processor is not: an emulator may have its loader.
func TestCommandWithoutLoader(t *testing.T) {
	own, err := os.Executable()
	check.Must(t, err)
	mine, err := elf.Open(own)
	if err != nil {
		t.Skip(err) // programs are no ELF files here
	}
	defer mine.Close()
	name := filepath.Join(t.TempDir(), "c")
	check.Must(t, os.WriteFile(name, elfFile(t, mine.Class, mine.Machine, mine.ByteOrder, "/no/ld.so"), 0o777))
	_, err = NewCommand([]string{name}, nil, nil, nil)
	check.Equal(t, "error", name+`: loader "/no/ld.so": no such file or directory (the program was built for another system, or another C library)`, check.Message(err))

	for _, other := range []elf.Machine{1, 0x100} { // in each of the two bytes
		check.Must(t, os.WriteFile(name, elfFile(t, mine.Class, mine.Machine+other, mine.ByteOrder, "/no/ld.so"), 0o777))
		newCommand(t, nil, nil, name)
	}

	if runtime.GOOS+"/"+runtime.GOARCH != "linux/amd64" {
		return
	}
	// Most kernels execute programs of 32 bits, too, and say "no such file".
	check.Must(t, os.WriteFile(name, elfFile(t, elf.ELFCLASS32, elf.EM_386, mine.ByteOrder, "/no/ld.so"), 0o777))
	var logged check.Buffer
	c := newCommand(t, nil, &logged, name)
	c.Trigger()
	c.Close()
	c.Run(t.Context())
	got := inBrief(logged.Take(), name)
	if len(got) == 1 && got[0] == "cannot start COMMAND, retrying: exec format error" {
		t.Skip("this kernel executes no programs of 32 bits")
	}
	check.Equal(t, "log", []string{
		"cannot start COMMAND, retrying: no such file or directory (the file is there, but its loader is not? try: ldd COMMAND)",
	}, got)
}
