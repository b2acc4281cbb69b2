// Package faults is a file system for tests: the system's own, or one that is made
// up, in which calls fail, hang, take time and are counted. Only tests import it.
//
// All methods may be called from any goroutine, and work in a bubble of
// testing/synctest.
package faults

import (
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/scan"
)

// FS is such a file system.
type FS struct {
	mu      sync.Mutex // guards the fields below
	files   map[string]made
	real    bool
	fail    map[call]error
	before  map[call]func()
	entries func(dir string, entries []scan.Entry) []scan.Entry
	hung    map[string]chan struct{} // by name or, if that ends in "/", by prefix
	delay   func(name string) time.Duration
	calls   []call
	asked   map[string]int // calls of Stat since the last Asked
	hanging Level
	running Level
	remote  bool
	open    Level             // files and directories
	aliases map[string]string // by name
	under   map[string]int    // calls under way, by name
	twice   []string          // names that a second call was made for meanwhile
}

// Level is a number that goes up and down, and the highest that it was.
type Level struct{ Now, Most int }

func (l *Level) add(n int) {
	l.Now += n
	l.Most = max(l.Most, l.Now)
}

// call is a call for a name: "stat", "lstat", "open" (a directory, too), "read",
// "readdir", "names", "dirnames", "revalidate" or "isremote".
type call struct{ op, name string }

// made is a file that was made up.
type made struct {
	entry scan.Entry
	err   error
}

// Real returns the file system of the operating system, to which faults can be
// added.
func Real() *FS { return newFS(true) }

// Made returns a file system in which only the files exist that are put there, and
// no directory can be listed.
func Made() *FS { return newFS(false) }

func newFS(real bool) *FS {
	return &FS{
		real: real, files: make(map[string]made), fail: make(map[call]error), before: make(map[call]func()),
		hung: make(map[string]chan struct{}), asked: make(map[string]int),
		under: make(map[string]int), aliases: make(map[string]string),
	}
}

// Put makes up a file with this size, in bytes, and mtime.
func (f *FS) Put(name string, size int64, mtime time.Time) {
	f.set(name, made{entry: scan.Entry{Size: size, Mtime: mtime}})
}

// PutUnlinked makes up a file with this size, in bytes, that has no name.
func (f *FS) PutUnlinked(name string, size int64) {
	f.set(name, made{entry: scan.Entry{Size: size, Mtime: check.Day1, Unlinked: true}})
}

// Remove removes a file that was made up.
func (f *FS) Remove(name string) { f.set(name, made{err: check.Errno(syscall.ENOENT, 2)}) }

// PutError makes up a file of which Stat returns err.
func (f *FS) PutError(name string, err error) { f.set(name, made{err: err}) }

func (f *FS) set(name string, m made) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files[name] = m
}

// Fail makes calls of op for name return err; nil takes that back. What is listed
// as name is an entry with an error if "lstat" fails.
func (f *FS) Fail(op, name string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail[call{op, name}] = err
}

// Heal takes back all that Fail, Before, Entries and Alias have said.
func (f *FS) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.fail)
	clear(f.before)
	clear(f.aliases)
	f.entries = nil
}

// Before calls do before each call of op for name; nil takes that back.
func (f *FS) Before(op, name string, do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before[call{op, name}] = do
}

// Entries makes each portion of a listing be what edit returns, which may be no
// longer than what was asked for. Of a listing of names, entries have only Name.
func (f *FS) Entries(edit func(dir string, entries []scan.Entry) []scan.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entries = edit
}

// Alias makes calls for name, and for what is below it, be made for the other name
// instead, as where case makes no difference. Names in calls and errors are the new
// ones.
func (f *FS) Alias(name, other string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.aliases[name] = other
}

// resolve returns the name that calls for name are made for.
func (f *FS) resolve(name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for alias, other := range f.aliases {
		if rest, ok := strings.CutPrefix(name, alias); ok && (rest == "" || rest[0] == '/') {
			return other + rest
		}
	}
	return name
}

// Hang makes calls for name hang, or for all that begins with name if that ends in
// "/". Release lets them go on.
func (f *FS) Hang(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hung[name] = make(chan struct{})
}

// Release lets calls that Hang has named go on.
func (f *FS) Release(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.hung[name])
	delete(f.hung, name)
}

// SetRemote makes all files be on a file system that has a server, or on none.
func (f *FS) SetRemote(remote bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.remote = remote
}

// Slow makes each call take d.
func (f *FS) Slow(d time.Duration) { f.SlowFunc(func(string) time.Duration { return d }) }

// SlowFunc makes each call for a name take as long as delay returns; the reading of
// a portion of a directory is as many calls as it has entries, and one more.
func (f *FS) SlowFunc(delay func(name string) time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delay = delay
}

// Asked returns how often Stat was called for the names since it was last called
// for any.
func (f *FS) Asked(names ...string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range names {
		n += f.asked[name]
	}
	clear(f.asked)
	return n
}

// Calls returns the names that op was called for since the last call of Calls, in
// order.
func (f *FS) Calls(op string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for _, c := range f.calls {
		if c.op == op {
			names = append(names, c.name)
		}
	}
	f.calls = nil
	return names
}

// Hanging returns how many calls hang, and Running how many are under way.
func (f *FS) Hanging() Level {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hanging
}

func (f *FS) Running() Level {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.running
}

// Opened returns how many files and directories are open.
func (f *FS) Opened() Level {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open
}

// Twice returns the names that a call was made for while another was under way.
func (f *FS) Twice() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.twice
}

// enter is called at the beginning of each call, and returns the error that it is
// to fail with.
func (f *FS) enter(op, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call{op, name})
	if op == "stat" {
		f.asked[name]++
	}
	f.running.add(1)
	if f.under[name]++; f.under[name] > 1 {
		f.twice = append(f.twice, name)
	}
	if do := f.before[call{op, name}]; do != nil {
		f.unlocked(do)
	}
	for prefix, released := range f.hung {
		if name == prefix || strings.HasSuffix(prefix, "/") && strings.HasPrefix(name, prefix) {
			f.hanging.add(1)
			f.unlocked(func() { <-released })
			f.hanging.add(-1)
		}
	}
	return f.fail[call{op, name}]
}

// leave is called at the end of a call that counts for n.
func (f *FS) leave(name string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.delay != nil {
		delay := f.delay
		f.unlocked(func() { time.Sleep(time.Duration(n) * delay(name)) })
	}
	f.running.add(-1)
	f.under[name]--
}

// unlocked calls do without holding mu.
func (f *FS) unlocked(do func()) {
	f.mu.Unlock()
	defer f.mu.Lock()
	do()
}

// Stat implements scan.FileSystem, as the next methods do.
func (f *FS) Stat(name string) (scan.Entry, error) {
	return f.examine("stat", name, scan.OS{}.Stat)
}

func (f *FS) Lstat(name string) (scan.Entry, error) {
	return f.examine("lstat", name, scan.OS{}.Lstat)
}

// EvalSymlinks knows no links in a file system that was made up.
func (f *FS) EvalSymlinks(name string) (string, error) {
	if !f.real {
		return filepath.Clean(name), nil
	}
	return scan.OS{}.EvalSymlinks(name)
}

// IsRemote is a call like others if SetRemote has set something.
func (f *FS) IsRemote(name string) bool {
	f.mu.Lock()
	remote := f.remote
	f.mu.Unlock()
	if !remote {
		return false
	}
	defer f.leave(name, 1)
	return f.enter("isremote", name) == nil
}

func (f *FS) Revalidate(name string) {
	defer f.leave(name, 1)
	if f.enter("revalidate", name) == nil && f.real {
		scan.OS{}.Revalidate(name)
	}
}

func (f *FS) examine(op, name string, ask func(string) (scan.Entry, error)) (scan.Entry, error) {
	name = f.resolve(name)
	defer f.leave(name, 1)
	if err := f.enter(op, name); err != nil {
		return scan.Entry{}, err
	}
	if f.real {
		return ask(name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.files[name]
	if !ok {
		return scan.Entry{}, check.Errno(syscall.ENOENT, 2)
	}
	return m.entry, m.err
}

func (f *FS) Open(name string) (scan.File, error) {
	return openBy(f, name, func(name string) (scan.File, error) {
		file, err := scan.OS{}.Open(name)
		return &openFile{file, f, name}, err
	})
}

func (f *FS) OpenDir(name string, follow bool) (scan.Dir, error) {
	return openBy(f, name, func(name string) (scan.Dir, error) {
		dir, err := scan.OS{}.OpenDir(name, follow)
		return &openDir{dir, f, name}, err
	})
}

func (f *FS) DirNames(name string) (map[string]bool, error) {
	defer f.leave(name, 1)
	if err := f.enter("dirnames", name); err != nil {
		return nil, err
	}
	return scan.OS{}.DirNames(name)
}

// openBy opens name by open.
func openBy[T any](f *FS, name string, open func(name string) (T, error)) (opened T, err error) {
	name = f.resolve(name)
	defer f.leave(name, 1)
	if err := f.enter("open", name); err != nil {
		return opened, err
	}
	if !f.real {
		return opened, check.Errno(syscall.ENOENT, 2)
	}
	file, err := open(name)
	if err != nil {
		return opened, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open.add(1)
	return file, nil
}

// closed notes that something is closed.
func (f *FS) closed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open.add(-1)
}

// openFile and openDir are open in an FS.
type openFile struct {
	scan.File
	fs   *FS
	name string
}

type openDir struct {
	scan.Dir
	fs   *FS
	name string
}

func (o *openFile) Close() error {
	o.fs.closed()
	return o.File.Close()
}

func (o *openDir) Close() error {
	o.fs.closed()
	return o.Dir.Close()
}

func (o *openFile) Read(b []byte) (int, error) {
	defer o.fs.leave(o.name, 1)
	if err := o.fs.enter("read", o.name); err != nil {
		return 0, err
	}
	return o.File.Read(b)
}

func (o *openDir) Readdirnames(n int) ([]string, error) {
	defer o.fs.leave(o.name, 1)
	if err := o.fs.enter("names", o.name); err != nil {
		return nil, err
	}
	names, err := o.Dir.Readdirnames(n)
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	if o.fs.entries == nil || len(names) == 0 {
		return names, err
	}
	entries := make([]scan.Entry, len(names))
	for i, name := range names {
		entries[i].Name = name
	}
	names = nil
	for _, e := range o.fs.entries(o.name, entries) {
		names = append(names, e.Name)
	}
	return names, err
}

func (o *openDir) ReadEntries(buf []scan.Entry) (n int, err error) {
	defer func() { o.fs.leave(o.name, 1+n) }()
	if err := o.fs.enter("readdir", o.name); err != nil {
		return 0, err
	}
	n, err = o.Dir.ReadEntries(buf)
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	for i, e := range buf[:n] {
		if err := o.fs.fail[call{"lstat", o.name + "/" + e.Name}]; err != nil {
			buf[i] = scan.Entry{Name: e.Name, Err: err}
		}
	}
	if o.fs.entries != nil && n > 0 {
		n = copy(buf, o.fs.entries(o.name, slices.Clone(buf[:n])))
	}
	return n, err
}
