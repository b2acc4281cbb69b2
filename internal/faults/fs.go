// Package faults is what tests break: a file system and a network.
//
//	fs.go        FS is the system's file system, or one in memory, in which calls
//	             fail, hang, take time and are counted.
//	tree.go      Tree is the one in memory, and what a writer does to it;
//	treefile.go  what a scan sees of it.
//	network.go   Network is a network in memory: who can connect to what.
//	link.go      Link is one of its connections, and all that may become of it.
//	conn.go      Conn is one end of a Link: a net.Conn.
//
// All methods may be called from any goroutine, and work in a bubble of
// testing/synctest. No goroutine is started. Only tests import the package.
package faults

import (
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"net-watcher/internal/check"
	"net-watcher/internal/pattern"
	"net-watcher/internal/scan"
)

// FS is a file system with faults. The ones in its calls are by name: a name that ends
// in "/" stands for all that begin with it.
type FS struct {
	Tree *Tree // the file system, if it is one in memory

	inner   scan.FileSystem
	mu      sync.Mutex // guards the fields below
	fail    map[call]error
	before  map[call]func()
	listed  map[string]int // how often listings have a name, if not once
	entries func(dir string, entries []scan.Entry) []scan.Entry
	hung    map[string]chan struct{} // by name or prefix
	delay   func(name string) time.Duration
	calls   []call
	asked   map[string]int // calls of Stat since the last Asked
	hanging Level
	running Level
	remote  bool
	program bool              // that the files are on, if remote
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

// call is a call for a name: "stat", "lstat", "evalsymlinks", "open" (a directory,
// too), "read", "readdir", "names", "dirnames", "revalidate", "refresh" or
// "isremote".
type call struct{ op, name string }

// Real returns the file system of the operating system, to which faults can be
// added.
func Real() *FS { return newFS(scan.OS{}, nil) }

// Made returns a file system in memory, to which files and faults can be added.
func Made() *FS {
	t := NewTree()
	return newFS(t, t)
}

func newFS(inner scan.FileSystem, t *Tree) *FS {
	return &FS{
		Tree: t, inner: inner, fail: make(map[call]error), before: make(map[call]func()),
		hung: make(map[string]chan struct{}), asked: make(map[string]int),
		under: make(map[string]int), aliases: make(map[string]string), listed: make(map[string]int),
	}
}

// Put makes a file in the Tree, and the directories that it is in, that has this size,
// in bytes, and mtime. A file that exists is rewritten.
func (f *FS) Put(name string, size int64, mtime time.Time) {
	err := f.Tree.MkdirAll(path.Dir(name))
	if err == nil {
		err = f.Tree.Write(name, strings.Repeat("x", int(size)))
	}
	if err == nil {
		err = f.Tree.Chtimes(name, mtime)
	}
	if err != nil {
		panic(check.Message(err) + ": " + name)
	}
}

// Fail makes calls of op for name, or for all that begins with name if that ends in
// "/", return err; nil takes that back. What is listed as name is an entry with an
// error if "lstat" fails.
func (f *FS) Fail(op, name string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail[call{op, name}] = err
}

// Heal takes back all that Fail, Before, Listed, Entries and Alias have said.
func (f *FS) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.fail)
	clear(f.before)
	clear(f.aliases)
	clear(f.listed)
	f.entries = nil
}

// Before calls do before each call of op for name; nil takes that back.
func (f *FS) Before(op, name string, do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before[call{op, name}] = do
}

// Listed makes listings have what exists at name n times.
func (f *FS) Listed(name string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listed[name] = n
}

// Entries makes each portion of a listing be what edit returns: in another order, with
// more or with fewer. Of a listing of names, entries have only Name.
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

// SetProgram makes all files be on a file system whose server is a program.
func (f *FS) SetProgram() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.remote, f.program = true, true
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
	return f.failureLocked(op, name)
}

// failureLocked returns the error that calls of op for name fail with.
func (f *FS) failureLocked(op, name string) error {
	for i := range name {
		if name[i] == '/' && f.fail[call{op, name[:i+1]}] != nil {
			return f.fail[call{op, name[:i+1]}]
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
func (f *FS) Stat(name string) (scan.Entry, error)  { return ask(f, "stat", name, f.inner.Stat) }
func (f *FS) Lstat(name string) (scan.Entry, error) { return ask(f, "lstat", name, f.inner.Lstat) }

func (f *FS) EvalSymlinks(name string) (string, error) {
	return ask(f, "evalsymlinks", name, f.inner.EvalSymlinks)
}

// IsRemote is a call like others if SetRemote has set something.
func (f *FS) IsRemote(name string) (is, isProgram bool) {
	f.mu.Lock()
	is, isProgram = f.remote, f.program
	f.mu.Unlock()
	if !is {
		return false, false
	}
	_, err := ask(f, "isremote", name, func(string) (bool, error) { return true, nil })
	return err == nil, isProgram
}

func (f *FS) IsMounted(name string) bool {
	is, err := ask(f, "ismounted", name, func(name string) (bool, error) { return f.inner.IsMounted(name), nil })
	return is || err != nil
}

func (f *FS) Revalidate(name string) {
	ask(f, "revalidate", name, func(name string) (any, error) {
		f.inner.Revalidate(name)
		return nil, nil
	})
}

func (f *FS) DirNames(name string) (map[string]bool, error) {
	return ask(f, "dirnames", name, f.inner.DirNames)
}

func (f *FS) Open(name string) (scan.File, error) {
	return ask(f, "open", name, func(name string) (scan.File, error) {
		opened, err := f.inner.Open(name)
		if err != nil {
			return nil, err
		}
		f.countOpen(1)
		return &openFile{opened, f, name}, nil
	})
}

func (f *FS) OpenDir(name string, follow bool) (scan.Dir, error) {
	return ask(f, "open", name, func(name string) (scan.Dir, error) {
		opened, err := f.inner.OpenDir(name, follow)
		if err != nil {
			return nil, err
		}
		f.countOpen(1)
		return &openDir{Dir: opened, fs: f, name: name}, nil
	})
}

func (f *FS) countOpen(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open.add(n)
}

// ask makes a call of op.
func ask[R any](f *FS, op, name string, do func(string) (R, error)) (result R, err error) {
	name = f.resolve(name)
	defer f.leave(name, 1)
	if err := f.enter(op, name); err != nil {
		return result, err
	}
	return do(name)
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
	rest []scan.Entry // edited, and yet to be returned
}

func (o *openFile) Close() error {
	o.fs.countOpen(-1)
	return o.File.Close()
}

func (o *openDir) Close() error {
	o.fs.countOpen(-1)
	return o.Dir.Close()
}

func (o *openFile) Read(b []byte) (int, error) {
	defer o.fs.leave(o.name, 1)
	if err := o.fs.enter("read", o.name); err != nil {
		return 0, err
	}
	return o.File.Read(b)
}

func (o *openDir) Refresh() {
	defer o.fs.leave(o.name, 1)
	if o.fs.enter("refresh", o.name) == nil {
		o.Dir.Refresh()
	}
}

func (o *openDir) Readdirnames(n int) ([]string, error) {
	defer o.fs.leave(o.name, 1)
	if err := o.fs.enter("names", o.name); err != nil {
		return nil, err
	}
	var err error
	if len(o.rest) == 0 {
		var names []string
		names, err = o.Dir.Readdirnames(n)
		entries := make([]scan.Entry, len(names))
		for i, name := range names {
			entries[i].Name = name
		}
		o.rest = o.edited(entries)
	}
	var names []string
	for _, e := range o.rest {
		names = append(names, e.Name)
	}
	o.rest = nil
	return names, err
}

func (o *openDir) ReadEntries(buf []scan.Entry, folder *pattern.Folder) (n int, err error) {
	defer func() { o.fs.leave(o.name, 1+n) }()
	if err := o.fs.enter("readdir", o.name); err != nil {
		return 0, err
	}
	if len(o.rest) == 0 {
		n, err = o.Dir.ReadEntries(buf, folder)
		o.rest = o.edited(o.failed(buf[:n]))
	}
	n = copy(buf, o.rest)
	o.rest = o.rest[n:]
	return n, err
}

// failed returns the entries, those of which lstat fails with an error.
func (o *openDir) failed(entries []scan.Entry) []scan.Entry {
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	for i, e := range entries {
		if e.LeftOut {
			continue
		}
		if err := o.fs.failureLocked("lstat", o.name+"/"+e.Name); err != nil {
			entries[i] = scan.Entry{Name: e.Name, Err: err}
		}
	}
	return entries
}

// edited returns a portion of a listing as Listed and Entries have it.
func (o *openDir) edited(entries []scan.Entry) []scan.Entry {
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	if o.fs.entries == nil && len(o.fs.listed) == 0 || len(entries) == 0 {
		return entries
	}
	var listed []scan.Entry
	for _, e := range entries {
		n, ok := o.fs.listed[o.name+"/"+e.Name]
		if !ok {
			n = 1
		}
		listed = append(listed, slices.Repeat([]scan.Entry{e}, n)...)
	}
	if o.fs.entries == nil {
		return listed
	}
	return o.fs.entries(o.name, listed)
}
