package follow

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"net-watcher/internal/oserr"
	"net-watcher/internal/wire"
)

// maxInterpreters is how many interpreters may need another one, one after the other:
// as many as Linux allows (execve(2)).
const maxInterpreters = 4

// find returns the file of the program name and its first bytes; none if only the
// system may read it. The error says why the system would not execute it: of a script
// without its interpreter, and of a program without its loader, the system says "no such
// file" with the script's or the program's own name.
func find(name string) (file string, start []byte, err error) {
	return findWith(name, maxInterpreters)
}

// findWith is find for a program that needs at most so many interpreters.
func findWith(name string, most int) (file string, start []byte, err error) {
	file, err = exec.LookPath(name)
	switch {
	case errors.Is(err, exec.ErrDot): // what cmd.exe would run
		return "", nil, fmt.Errorf("%w (write .%c%s)", err, filepath.Separator, wire.Printable(file))
	case errors.Is(err, exec.ErrNotFound) && runtime.GOOS == "windows" && filepath.Base(name) == name:
		return "", nil, fmt.Errorf("%w (a command of cmd.exe itself is: cmd /c %s)", err, name)
	case err != nil:
		return "", nil, err
	}
	start, err = head(file)
	if err != nil {
		return file, nil, nil
	}
	if why := unusable(start, most); why != "" {
		return "", nil, fmt.Errorf("%s: %s", wire.Printable(file), why)
	}
	return file, start, nil
}

// unusable returns why the system does not execute a file that begins with start, and what
// to do. It looks there, and in at most so many interpreters, each of which may be a script
// that needs another one.
func unusable(start []byte, most int) string {
	const (
		endings = "the lines of the script end in CR LF: convert them to LF"
		install = "install it, or correct the line that begins with #!"
		other   = "the program was built for another system, or another C library"
	)
	switch {
	case len(start) == 0:
		return "the file is empty"
	case bytes.HasPrefix(start, []byte("\xef\xbb\xbf#!")):
		return "a byte order mark is before #! (save the file as UTF-8 without it)"
	case bytes.HasPrefix(start, []byte("\xff\xfe")), bytes.HasPrefix(start, []byte("\xfe\xff")):
		return "the file is UTF-16 (save it as UTF-8)"
	}
	if l := loader(start); l != "" {
		if _, err := os.Stat(l); errors.Is(err, fs.ErrNotExist) {
			return fmt.Sprintf("loader %q: %v (%s)", l, oserr.Cause(err), other)
		}
	}
	words := shebang(start)
	for _, program := range interpreters(words) {
		if most == 0 {
			return fmt.Sprintf("interpreter %q: too many need another one", program)
		}
		_, _, err := findWith(program, most-1)
		switch {
		case err == nil:
			continue
		case !errors.As(err, new(*exec.Error)):
			return "interpreter " + err.Error()
		case strings.HasSuffix(program, "\r"):
			return fmt.Sprintf("interpreter %q: %v (%s)", program, oserr.Cause(errors.Unwrap(err)), endings)
		}
		return fmt.Sprintf("interpreter %q: %v (%s)", program, oserr.Cause(errors.Unwrap(err)), install)
	}
	line, _, _ := bytes.Cut(start, []byte("\n"))
	switch n := len(words); {
	case n == 0 && runtime.GOOS != "windows" && isText(start) && bytes.HasSuffix(line, []byte("\r")):
		return endings // of which the shell is the interpreter
	case n > 1 && strings.HasSuffix(words[0], "sh") && strings.HasSuffix(words[n-1], "\r"):
		// A shell takes the CR for a part of its options. Perl, for one, does not.
		return fmt.Sprintf("interpreter %q, argument %q (%s)", words[0], words[n-1], endings)
	}
	return ""
}

// shebang returns the words after #! in the first line, none if it is no script.
func shebang(start []byte) []string {
	line, _, _ := bytes.Cut(start, []byte("\n"))
	line, isScript := bytes.CutPrefix(line, []byte("#!"))
	if !isScript {
		return nil
	}
	return strings.FieldsFunc(string(line), func(r rune) bool { return r == ' ' || r == '\t' })
}

// interpreters returns the programs that the words after #! name: the first, and the one
// that env(1) is to find in PATH.
func interpreters(words []string) []string {
	if len(words) == 0 {
		return nil
	}
	if !strings.Contains(words[0], "/") {
		words[0] = "./" + words[0] // as the system does; LookPath would search PATH
	}
	if path.Base(words[0]) != "env" {
		return words[:1]
	}
	if len(words) > 2 && words[1] == "-S" {
		words = append(words[:1], words[2:]...)
		if strings.ContainsAny(words[1], `"'\${`) {
			return words[:1] // more than this knows of env, too
		}
	}
	if len(words) == 1 || strings.HasPrefix(words[1], "-") || strings.Contains(words[1], "=") {
		return words[:1] // more than this knows of env
	}
	return words[:2]
}

// isText reports whether a file that begins with start may be a script without #!.
func isText(start []byte) bool { return len(start) > 0 && bytes.IndexByte(start, 0) < 0 }

// head returns the first 8 KiB of a file, where the loader of an ELF file is named: most
// linkers put that into the first page, and Go's at its end. Opening what is not a regular file
// could block.
func head(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fs.ErrInvalid
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 8<<10))
}
