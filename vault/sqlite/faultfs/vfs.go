package faultfs

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// A vfs is SQLite's own file layer for this system with five of its calls put
// through a Disk (https://www.sqlite.org/vfs.html). The translated library keeps
// its C structures outside Go's heap and knows functions by the address of
// their Go function value, as here.
type vfs struct {
	disk *Disk
	name string
	tls  *libc.TLS
	at   uintptr // *sqlite3_vfs, a copy of the system's with another name and xOpen
	base *sqlite3.Tsqlite3_vfs
}

// registry finds what a call from SQLite, which knows addresses only, is for.
var registry struct {
	sync.Mutex
	count   int
	vfs     map[uintptr]*vfs     // by sqlite3_vfs
	files   map[uintptr]*open    // by sqlite3_file, while open
	methods map[uintptr]*methods // by the system's own sqlite3_io_methods
}

// open is an open file. SQLite uses one from one thread at a time.
type open struct {
	disk *Disk
	name string
	*methods
}

// methods is a copy of one of the system's method tables, with ours in it.
type methods struct {
	own, system *sqlite3.Tsqlite3_io_methods
}

// at reads an address that SQLite gave: it points outside Go's heap.
func at[T any](p uintptr) *T { return *(**T)(unsafe.Pointer(&p)) }

// address is the inverse of at.
func address[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

// function gives a top-level function the form in which the library calls it:
// the address of its function value, which the linker placed.
func function(f any) uintptr { return (*[2]uintptr)(unsafe.Pointer(&f))[1] }

// call is the inverse of function.
func call[F any](f uintptr) F { return *(*F)(unsafe.Pointer(&f)) }

type (
	openFunc     = func(tls *libc.TLS, vfs, path, file uintptr, flags int32, out uintptr) int32
	deleteFunc   = func(tls *libc.TLS, vfs, path uintptr, sync int32) int32
	closeFunc    = func(tls *libc.TLS, file uintptr) int32
	writeFunc    = func(tls *libc.TLS, file, data uintptr, n int32, off int64) int32
	truncateFunc = func(tls *libc.TLS, file uintptr, size int64) int32
	syncFunc     = func(tls *libc.TLS, file uintptr, flags int32) int32
)

// The calls that go through a Disk.
var (
	ownOpen     openFunc     = xOpen
	ownDelete   deleteFunc   = xDelete
	ownClose    closeFunc    = xClose
	ownWrite    writeFunc    = xWrite
	ownTruncate truncateFunc = xTruncate
	ownSync     syncFunc     = xSync
)

func register(d *Disk) (*vfs, error) {
	registry.Lock()
	defer registry.Unlock()
	if registry.vfs == nil {
		registry.vfs, registry.files, registry.methods = map[uintptr]*vfs{}, map[uintptr]*open{}, map[uintptr]*methods{}
	}
	v := &vfs{disk: d, tls: libc.NewTLS()}
	if rc := sqlite3.Xsqlite3_initialize(v.tls); rc != sqlite3.SQLITE_OK {
		return nil, fmt.Errorf("initialise SQLite: code %d", rc)
	}
	base := sqlite3.Xsqlite3_vfs_find(v.tls, 0)
	v.base = at[sqlite3.Tsqlite3_vfs](base)
	registry.count++
	v.name = fmt.Sprintf("faultfs%d", registry.count)
	name, err := libc.CString(v.name)
	if err != nil {
		return nil, err
	}
	v.at = libc.Xcalloc(v.tls, 1, libc.Tsize_t(unsafe.Sizeof(*v.base)))
	if v.at == 0 {
		return nil, fmt.Errorf("no memory for a VFS")
	}
	own := at[sqlite3.Tsqlite3_vfs](v.at)
	*own = *v.base
	own.FpNext, own.FzName = 0, name
	own.FxOpen, own.FxDelete = function(ownOpen), function(ownDelete)
	if rc := sqlite3.Xsqlite3_vfs_register(v.tls, v.at, 0); rc != sqlite3.SQLITE_OK {
		return nil, fmt.Errorf("register a VFS: code %d", rc)
	}
	registry.vfs[v.at] = v
	return v, nil
}

func (v *vfs) unregister() {
	registry.Lock()
	defer registry.Unlock()
	sqlite3.Xsqlite3_vfs_unregister(v.tls, v.at)
	delete(registry.vfs, v.at)
	libc.Xfree(v.tls, at[sqlite3.Tsqlite3_vfs](v.at).FzName)
	libc.Xfree(v.tls, v.at)
	v.tls.Close()
}

func vfsOf(p uintptr) *vfs {
	registry.Lock()
	defer registry.Unlock()
	return registry.vfs[p]
}

func fileOf(p uintptr) *open {
	registry.Lock()
	defer registry.Unlock()
	return registry.files[p]
}

// methodsFor returns the table that takes the place of system.
func methodsFor(tls *libc.TLS, system uintptr) *methods {
	if m := registry.methods[system]; m != nil {
		return m
	}
	m := &methods{system: at[sqlite3.Tsqlite3_io_methods](system)}
	m.own = at[sqlite3.Tsqlite3_io_methods](libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(*m.system))))
	*m.own = *m.system
	m.own.FxClose = function(ownClose)
	m.own.FxWrite = function(ownWrite)
	m.own.FxTruncate = function(ownTruncate)
	m.own.FxSync = function(ownSync)
	registry.methods[system] = m // there are few, and they stay
	return m
}

func xOpen(tls *libc.TLS, pVfs, path, pFile uintptr, flags int32, out uintptr) int32 {
	v := vfsOf(pVfs)
	rc := call[openFunc](v.base.FxOpen)(tls, pVfs, path, pFile, flags, out)
	if rc != sqlite3.SQLITE_OK || path == 0 {
		return rc // a file without a name is temporary: nothing of it outlives the process
	}
	name := filepath.Base(libc.GoString(path))
	if err := v.disk.attach(name); err != nil {
		f := at[sqlite3.Tsqlite3_file](pFile)
		call[closeFunc](at[sqlite3.Tsqlite3_io_methods](f.FpMethods).FxClose)(tls, pFile)
		f.FpMethods = 0
		return sqlite3.SQLITE_CANTOPEN
	}
	registry.Lock()
	defer registry.Unlock()
	f := at[sqlite3.Tsqlite3_file](pFile)
	o := &open{disk: v.disk, name: name, methods: methodsFor(tls, f.FpMethods)}
	f.FpMethods = address(o.own)
	registry.files[pFile] = o
	return rc
}

func xDelete(tls *libc.TLS, pVfs, path uintptr, sync int32) int32 {
	v := vfsOf(pVfs)
	rc := int32(sqlite3.SQLITE_OK)
	err := v.disk.do(Op{File: filepath.Base(libc.GoString(path)), Kind: Delete}, change{}, func(int) error {
		rc = call[deleteFunc](v.base.FxDelete)(tls, pVfs, path, sync)
		return failed(rc)
	})
	return result(rc, err, sqlite3.SQLITE_IOERR_DELETE)
}

func xClose(tls *libc.TLS, pFile uintptr) int32 {
	o := fileOf(pFile)
	registry.Lock()
	delete(registry.files, pFile)
	registry.Unlock()
	at[sqlite3.Tsqlite3_file](pFile).FpMethods = address(o.system)
	return call[closeFunc](o.system.FxClose)(tls, pFile)
}

func xWrite(tls *libc.TLS, pFile, data uintptr, n int32, off int64) int32 {
	o := fileOf(pFile)
	rc := int32(sqlite3.SQLITE_OK)
	b := unsafe.Slice(at[byte](data), n)
	err := o.disk.do(Op{File: o.name, Kind: Write, Size: int(n), Grow: o.disk.growth(o.name, off+int64(n))}, change{off, b}, func(n int) error {
		rc = call[writeFunc](o.system.FxWrite)(tls, pFile, data, int32(n), off)
		return failed(rc)
	})
	return result(rc, err, sqlite3.SQLITE_IOERR_WRITE)
}

func xTruncate(tls *libc.TLS, pFile uintptr, size int64) int32 {
	o := fileOf(pFile)
	rc := int32(sqlite3.SQLITE_OK)
	err := o.disk.do(Op{File: o.name, Kind: Truncate}, change{off: size}, func(int) error {
		rc = call[truncateFunc](o.system.FxTruncate)(tls, pFile, size)
		return failed(rc)
	})
	return result(rc, err, sqlite3.SQLITE_IOERR_TRUNCATE)
}

func xSync(tls *libc.TLS, pFile uintptr, _ int32) int32 {
	o := fileOf(pFile)
	err := o.disk.do(Op{File: o.name, Kind: Sync}, change{}, nil)
	return result(sqlite3.SQLITE_OK, err, sqlite3.SQLITE_IOERR_FSYNC)
}

// failed makes an error of the system's own failure.
func failed(rc int32) error {
	if rc == sqlite3.SQLITE_OK {
		return nil
	}
	return os.ErrInvalid
}

// result is what SQLite is told: the system's own failure, a full disk, or the
// failure of this call. Its layer for Unix tells a full disk apart for writes
// alone; a flush that meets one is an error of the flush.
func result(rc int32, err error, code int32) int32 {
	switch {
	case rc != sqlite3.SQLITE_OK || err == nil:
		return rc
	case code == sqlite3.SQLITE_IOERR_WRITE && full(err):
		return sqlite3.SQLITE_FULL
	}
	return code
}
