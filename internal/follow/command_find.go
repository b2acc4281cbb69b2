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
	"strings"

	"net-watcher/internal/oserr"
	"net-watcher/internal/wire"
)

// find returns the file of the program name and its first bytes; none if only the
// system may read it. The error says why the system would not execute it: of a script
// without its interpreter, the system says "no such file" with the script's own name.
func find(name string) (file string, start []byte, err error) {
	file, err = exec.LookPath(name)
	if err != nil {
		return "", nil, err
	}
	start, err = head(file)
	if err != nil {
		return file, nil, nil
	}
	if why := unusable(start); why != "" {
		return "", nil, fmt.Errorf("%s: %s", wire.Printable(file), why)
	}
	return file, start, nil
}

// unusable returns why the system does not execute a file that begins with start, as
// far as that shows there, and what to do.
func unusable(start []byte) string {
	if len(start) == 0 {
		return "the file is empty"
	}
	if bytes.HasPrefix(start, []byte("\xef\xbb\xbf#!")) {
		return "a byte order mark is before #! (save the file as UTF-8 without it)"
	}
	const endings = "the lines of the script end in CR LF: convert them to LF"
	for _, program := range interpreters(start) {
		_, err := exec.LookPath(program)
		if err == nil {
			continue
		}
		hint := "install it, or correct the line that begins with #!"
		if strings.HasSuffix(program, "\r") {
			hint = endings
		}
		return fmt.Sprintf("interpreter %q: %v (%s)", program, oserr.Cause(errors.Unwrap(err)), hint)
	}
	// A shell takes the CR for a part of its options. Perl, for one, does not.
	words := shebang(start)
	if n := len(words); n > 1 && strings.HasSuffix(words[0], "sh") && strings.HasSuffix(words[n-1], "\r") {
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

// interpreters returns the programs that the first line of a script names: the one
// after #!, and the one that env(1) is to find in PATH.
func interpreters(start []byte) []string {
	words := shebang(start)
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
	}
	if len(words) == 1 || strings.HasPrefix(words[1], "-") || strings.Contains(words[1], "=") {
		return words[:1] // more than this knows of env
	}
	return words[:2]
}

// isText reports whether a file that begins with start may be a script without #!.
func isText(start []byte) bool { return len(start) > 0 && bytes.IndexByte(start, 0) < 0 }

// head returns the first 512 bytes of a file. Opening what is not a regular file
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
	return io.ReadAll(io.LimitReader(f, 512))
}
