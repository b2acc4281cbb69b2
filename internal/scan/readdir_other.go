//go:build !(linux && (amd64 || arm64 || riscv64))

package scan

// See readdir_linux.go.
func (f osFile) ReadEntries(buf []Entry) (int, error) {
	list, err := f.ReadDir(len(buf))
	for i, d := range list {
		info, err := d.Info()
		if err != nil {
			buf[i] = Entry{Name: d.Name(), Err: err}
		} else {
			buf[i] = newEntry(info)
		}
	}
	return len(list), err
}
