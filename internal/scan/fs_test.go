package scan

import (
	"testing"

	"net-watcher/internal/check"
)

// An open file is described as its name is, and one that is closed says why it cannot be.
func TestFileStat(t *testing.T) {
	t.Chdir(t.TempDir())
	check.Write(t, "file", "12345", check.Day1)
	f, err := OS{}.Open("file")
	check.Must(t, err)
	want, err := OS{}.Stat("file")
	check.Must(t, err)
	got, err := f.Stat()
	check.Must(t, err)
	got.Mode, want.Mode = got.Mode.Type(), want.Mode.Type() // permissions are not used
	check.Equal(t, "an open file", want, got)
	check.Must(t, f.Close())
	got, err = f.Stat()
	if err == nil || got.Err != err {
		t.Errorf("a closed file: %v and %v", got, err)
	}
}

// What cannot be opened is no reason to end.
func TestReopen(t *testing.T) {
	t.Chdir(t.TempDir())
	reopen("none")
}
