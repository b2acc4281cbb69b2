package follow

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"net-watcher/internal/check"
)

// A program that cannot be executed is known by its file, and the error names what is
// missing.
func TestFind(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("scripts are not executable here")
	}
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	const install, endings = " (install it, or correct the line that begins with #!)", " (the lines of the script end in CR LF: convert them to LF)"
	check.Must(t, os.WriteFile(filepath.Join(dir, "script"), []byte("#!/bin/sh\n"), 0o777))
	check.Must(t, os.WriteFile(filepath.Join(dir, "broken"), []byte("#!/no/such/sh\n"), 0o777))
	for content, want := range map[string]string{
		"":                                "the file is empty",
		"echo x\n":                        "",
		"\x7fELF\x02\x00":                 "",
		"#!/bin/sh\n":                     "",
		"#! /bin/sh -e":                   "",
		"#!\n":                            "",
		"#!/usr/bin/env\n":                "",
		"#!/usr/bin/env script -x\n":      "",
		"#!/usr/bin/env -S script -x\n":   "",
		"#!/usr/bin/env A=b none\n":       "",
		"#!/usr/bin/env -u A none\n":      "",
		"#!/no/such/sh -e\nx":             `interpreter "/no/such/sh": no such file or directory` + install,
		"#!" + dir + "\n":                 `interpreter "` + dir + `": is a directory` + install,
		"#!sh\n":                          `interpreter "./sh": no such file or directory` + install,
		"#!/bin/sh\r\nx\r\n":              `interpreter "/bin/sh\r": no such file or directory` + endings,
		"#!/bin/sh -eu\r\nx\r\n":          `interpreter "/bin/sh", argument "-eu\r"` + endings,
		"#!/usr/bin/env -S script -x\r\n": "", // which is no shell, and may know better
		"#!/usr/bin/env none\n":           `interpreter "none": executable file not found in $PATH` + install,
		"#!/usr/bin/env -S none -x\n":     `interpreter "none": executable file not found in $PATH` + install,
		"#!/usr/bin/env here\r\nx":        `interpreter "here\r": executable file not found in $PATH` + endings,
		"echo x\r\n":                      "the lines of the script end in CR LF: convert them to LF",
		"echo x\r":                        "the lines of the script end in CR LF: convert them to LF",
		"\xff\xfe#\x00!\x00":              "the file is UTF-16 (save it as UTF-8)",
		"\xfe\xff\x00#\x00!":              "the file is UTF-16 (save it as UTF-8)",
		"#!" + dir + "/script\n":          "",
		"#!" + dir + "/broken\n":          "interpreter " + dir + `/broken: interpreter "/no/such/sh": no such file or directory` + install,
		"#!/usr/bin/env broken\n":         "interpreter " + dir + `/broken: interpreter "/no/such/sh": no such file or directory` + install,
		"#!" + dir + "/here\n":            strings.Repeat("interpreter "+dir+"/here: ", 4) + `interpreter "` + dir + `/here": too many need another one`,
		"\xef\xbb\xbf#!/bin/sh\nexit\n":   "a byte order mark is before #! (save the file as UTF-8 without it)",
	} {
		check.Must(t, os.WriteFile(filepath.Join(dir, "here"), []byte(content), 0o777))
		file, start, err := find("here")
		if want != "" {
			want = filepath.Join(dir, "here") + ": " + want
		} else if file != filepath.Join(dir, "here") || string(start) != content {
			t.Errorf("%q: found %s with %q", content, file, start)
		}
		if got := check.Message(err); got != want {
			t.Errorf("%q: %q, want %q", content, got, want)
		}
	}
	if _, _, err := find("none"); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("a missing program: %v", err)
	}
	t.Chdir(dir)
	t.Setenv("PATH", ".")
	if _, _, err := find("script"); err == nil || !strings.HasSuffix(err.Error(), " (write ./script)") {
		t.Errorf("a program in the current directory: %v", err)
	}
	if c, err := NewCommand([]string{"none"}, nil, nil, nil); c != nil || err == nil {
		t.Errorf("NewCommand of a missing program: %v, %v", c, err)
	}
	for _, name := range []string{dir, filepath.Join(dir, "none")} {
		if start, err := head(name); err == nil {
			t.Errorf("the first bytes of %s are %q", name, start)
		}
	}
	if os.Geteuid() != 0 { // for whom each file can be read
		check.Must(t, os.Chmod(filepath.Join(dir, "here"), 0o111))
		if file, start, err := find("here"); file != filepath.Join(dir, "here") || len(start) > 0 || err != nil {
			t.Errorf("of a file that may be executed only: %s, %q, %v", file, start, err)
		}
	}
}

func TestInterpreters(t *testing.T) {
	for line, want := range map[string][]string{
		"":                            nil,
		"x":                           nil,
		"#!":                          nil,
		"#!/bin/sh -e":                {"/bin/sh"},
		"#!sh":                        {"./sh"},
		"#!/usr/bin/env":              {"/usr/bin/env"},
		"#!/usr/bin/env sh":           {"/usr/bin/env", "sh"},
		"#!/usr/bin/env -S":           {"/usr/bin/env"},
		"#!/usr/bin/env -S sh":        {"/usr/bin/env", "sh"},
		"#!/usr/bin/env -S sh -e":     {"/usr/bin/env", "sh"},
		"#!/usr/bin/env -S sh '-e'":   {"/usr/bin/env", "sh"},
		`#!/usr/bin/env -S "sh" -e`:   {"/usr/bin/env"}, // env has rules of its own for these
		"#!/usr/bin/env -S '/bin/sh'": {"/usr/bin/env"},
		"#!/usr/bin/env -S ${A} -e":   {"/usr/bin/env"},
		`#!/usr/bin/env -S sh\_-e`:    {"/usr/bin/env"},
		"#!/usr/bin/env -u A sh":      {"/usr/bin/env"},
		"#!/usr/bin/env A=b sh":       {"/usr/bin/env"},
		"#! /usr/bin/env\tsh\nother":  {"/usr/bin/env", "sh"},
	} {
		check.Equal(t, line, want, interpreters(shebang([]byte(line))))
	}
}

func TestIsText(t *testing.T) {
	for start, want := range map[string]bool{"": false, "a": true, "ab\n": true, "\x00": false, "a\x00": false} {
		if got := isText([]byte(start)); got != want {
			t.Errorf("%q: %v", start, got)
		}
	}
}
