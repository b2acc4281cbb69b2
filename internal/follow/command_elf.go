package follow

import (
	"bytes"
	"encoding/binary"
	"os"
)

// Of elf(5); package debug/elf would make the program 350 KB larger.
const (
	elfMagic   = "\x7fELF"
	elfClass   = 4  // where 1 is for 32 bits, and 2 for 64
	elfOrder   = 5  // where 2 is for the most significant byte first
	elfMachine = 18 // the kind of processor, two bytes
	elfInterp  = 3  // the type of the program header that names the loader
)

// loader returns the dynamic loader that the ELF file which begins with start names, ""
// if there is none in start. Of a file for another kind of processor it is "", too: an
// emulator may have that one's loader elsewhere.
func loader(start []byte) string {
	own, err := os.Executable()
	if err != nil {
		return ""
	}
	mine, err := head(own)
	if err != nil || !isELF(mine) || !isELF(start) || mine[elfClass] != start[elfClass] ||
		!bytes.Equal(mine[elfMachine:elfMachine+2], start[elfMachine:elfMachine+2]) {
		return ""
	}
	return elfLoader(start)
}

// isELF reports whether start begins as an ELF file does, up to the kind of processor.
func isELF(start []byte) bool {
	return bytes.HasPrefix(start, []byte(elfMagic)) && len(start) >= elfMachine+2
}

// elfLoader is loader for a file for any kind of processor.
func elfLoader(start []byte) string {
	var order binary.ByteOrder = binary.LittleEndian
	if start[elfOrder] == 2 {
		order = binary.BigEndian
	}
	// part returns n bytes of start, which are 0 beyond its end.
	part := func(at, n uint64) []byte {
		b := make([]byte, n)
		if at < uint64(len(start)) {
			copy(b, start[at:])
		}
		return b
	}
	half := func(at uint64) uint64 { return uint64(order.Uint16(part(at, 2))) }
	word := func(at uint64) uint64 { return uint64(order.Uint32(part(at, 4))) }
	address := func(at uint64) uint64 { return order.Uint64(part(at, 8)) }

	// The first program header, their size and number, and where each has the offset and
	// the length of what it describes.
	var header, size, count, offset, length uint64
	if start[elfClass] == 1 {
		address = word
		header, size, count, offset, length = word(28), half(42), half(44), 4, 16
	} else {
		header, size, count, offset, length = address(32), half(54), half(56), 8, 32
	}
	for range count {
		if word(header) == elfInterp {
			from, n := address(header+offset), address(header+length)
			if from >= uint64(len(start)) || n > uint64(len(start))-from {
				return ""
			}
			return string(bytes.TrimRight(start[from:from+n], "\x00"))
		}
		header += size
	}
	return ""
}
