//go:build amd64 || arm64 || riscv64

package scan

import (
	"encoding/binary"
	"testing"

	"net-watcher/internal/check"
)

// An entry without an inode was removed; names come by as many as are asked for.
func TestDirents(t *testing.T) {
	d := &openDir{}
	for i, name := range []string{"removed", "a", ".", "..", "b", "c"} {
		e := make([]byte, 32)
		binary.NativeEndian.PutUint64(e, uint64(i))
		binary.NativeEndian.PutUint16(e[16:], uint16(len(e)))
		copy(e[19:], name)
		d.rest = append(d.rest, e...)
	}
	names, err := d.Readdirnames(2)
	check.Must(t, err)
	check.Equal(t, "names", []string{"a", "b"}, names)
	name, _, err := d.next(false)
	check.Must(t, err)
	check.Equal(t, "the last", "c", string(name[:1]))
	if name, _, err := d.next(false); name != nil || err != nil {
		t.Errorf("at the end: %q and %v", name, err)
	}
}
