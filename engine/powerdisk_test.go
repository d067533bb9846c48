//go:build linux

package engine

import (
	"context"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

const (
	diskPage   = 4096
	diskSector = 512
)

// A powerDisk is a file system with one directory that knows what was synced. When its power is cut,
// the rest may be there or not: each sector of a file, its length, and each name in the directory by
// itself. A name is safe with the first sync of its file, as on ext4, XFS and Btrfs; renames and
// removals when the directory is synced.
type powerDisk struct {
	mu      sync.Mutex
	names   map[string]*powerFile
	synced  map[string]*powerFile
	changes []map[string]*powerFile // of names, since the last sync of the directory; nil removes
	inodes  uint64
	left    int           // requests that change something until the power is cut; negative: for ever
	off     chan struct{} // closed at the cut
	gone    chan struct{} // closed when the process that used it is dead
}

type powerFile struct {
	inode        uint64
	pages, safe  map[int64]*[diskPage]byte
	dirty        map[int64]bool
	size, safeTo int64
}

func newPowerDisk() *powerDisk {
	return &powerDisk{names: map[string]*powerFile{}, synced: map[string]*powerFile{}, inodes: 1}
}

// mount serves the disk until the n-th change; serve it once at a time.
func (d *powerDisk) mount(t *testing.T, n int) (dir string, unmount func()) {
	t.Helper()
	d.left, d.off, d.gone = n, make(chan struct{}), make(chan struct{})
	dir = t.TempDir()
	long := time.Hour
	server, err := fs.Mount(dir, &powerNode{disk: d}, &fs.Options{EntryTimeout: &long, AttrTimeout: &long,
		MountOptions: fuse.MountOptions{DirectMount: true, MaxWrite: 1 << 20, FsName: "power", Name: "power"}})
	if err != nil {
		t.Fatalf("mount: %v", err)
	}
	return dir, func() {
		for range 100 {
			if err = server.Unmount(); err == nil {
				return
			}
			time.Sleep(50 * time.Millisecond) // the kernel lets go of files of a dead process in its own time
		}
		t.Fatalf("unmount: %v", err)
	}
}

// change counts a request that changes something. Once the power is off nothing is answered until the
// process is dead, so that it cannot tell what it did not get.
func (d *powerDisk) change(f func()) syscall.Errno {
	d.mu.Lock()
	if d.left != 0 {
		d.left--
		f()
		d.mu.Unlock()
		return 0
	}
	select {
	case <-d.off:
	default:
		close(d.off)
	}
	d.mu.Unlock()
	<-d.gone
	return syscall.EIO
}

func (d *powerDisk) rename(change map[string]*powerFile) {
	apply(d.names, change)
	d.changes = append(d.changes, change)
}

func apply(names, change map[string]*powerFile) {
	for name, f := range change {
		if names[name] = f; f == nil {
			delete(names, name)
		}
	}
}

func (d *powerDisk) syncNames(only *powerFile) {
	var rest []map[string]*powerFile
	for _, change := range d.changes {
		created := false
		for _, f := range change {
			created = created || f == only && len(change) == 1
		}
		if only != nil && !created {
			rest = append(rest, change)
			continue
		}
		apply(d.synced, change)
	}
	d.changes = rest
}

// settle leaves what a cut of the power leaves.
func (d *powerDisk) settle(draw *rand.Rand) {
	for _, change := range d.changes {
		if draw.IntN(2) == 0 {
			apply(d.synced, change)
		}
	}
	d.names, d.changes = map[string]*powerFile{}, nil
	apply(d.names, d.synced)
	for _, name := range sortedKeys(d.names) {
		d.names[name].settle(draw)
	}
}

func (f *powerFile) settle(draw *rand.Rand) {
	if draw.IntN(2) == 0 {
		f.size = f.safeTo
	}
	share := draw.Float64() // of the sectors that made it
	dirty := make([]int64, 0, len(f.dirty))
	for page := range f.dirty {
		dirty = append(dirty, page)
	}
	slices.Sort(dirty)
	for _, page := range dirty {
		now, old := *f.page(page), f.safe[page]
		if old == nil {
			old = new([diskPage]byte)
		}
		kept := *old
		for at := 0; at < diskPage; at += diskSector {
			if draw.Float64() < share {
				copy(kept[at:at+diskSector], now[at:])
			}
		}
		*f.page(page) = kept
	}
	f.cut(f.size)
	f.sync()
}

func (f *powerFile) page(n int64) *[diskPage]byte {
	p := f.pages[n]
	if p == nil {
		p = new([diskPage]byte)
		f.pages[n] = p
	}
	return p
}

func (f *powerFile) sync() {
	for page := range f.dirty {
		if now := f.pages[page]; now != nil {
			kept := *now
			f.safe[page] = &kept
		} else {
			delete(f.safe, page)
		}
	}
	clear(f.dirty)
	f.safeTo = f.size
}

// cut makes everything from size on zero, and size the length.
func (f *powerFile) cut(size int64) {
	for n, page := range f.pages {
		if from := size - n*diskPage; from <= 0 {
			delete(f.pages, n)
			f.dirty[n] = true
		} else if from < diskPage {
			clear(page[from:])
			f.dirty[n] = true
		}
	}
	f.size = size
}

func (f *powerFile) write(data []byte, at int64) {
	for len(data) > 0 {
		n, off := at/diskPage, at%diskPage
		f.dirty[n] = true
		m := copy(f.page(n)[off:], data)
		data, at = data[m:], at+int64(m)
	}
	f.size = max(f.size, at)
}

func (f *powerFile) read(into []byte, at int64) int {
	into = into[:max(0, min(int64(len(into)), f.size-at))]
	for i := 0; i < len(into); {
		n, off := (at+int64(i))/diskPage, (at+int64(i))%diskPage
		m := min(len(into)-i, int(diskPage-off))
		if page := f.pages[n]; page != nil {
			copy(into[i:i+m], page[off:])
		} else {
			clear(into[i : i+m])
		}
		i += m
	}
	return len(into)
}

// powerNode is the directory, or a file of it.
type powerNode struct {
	fs.Inode
	disk *powerDisk
	file *powerFile // nil: the directory
}

func (n *powerNode) attr(a *fuse.Attr) {
	a.Mode, a.Nlink = syscall.S_IFDIR|0o700, 1
	if n.file != nil {
		a.Mode, a.Size, a.Ino = syscall.S_IFREG|0o600, uint64(n.file.size), n.file.inode
		a.Blocks = uint64(len(n.file.pages)) * diskPage / 512
	}
	a.Uid, a.Gid = uint32(os.Getuid()), uint32(os.Getgid())
}

func (n *powerNode) child(ctx context.Context, f *powerFile, out *fuse.EntryOut) *fs.Inode {
	node := &powerNode{disk: n.disk, file: f}
	node.attr(&out.Attr)
	return n.NewInode(ctx, node, fs.StableAttr{Mode: syscall.S_IFREG, Ino: f.inode})
}

func (n *powerNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	f := n.disk.names[name]
	if f == nil {
		return nil, syscall.ENOENT
	}
	return n.child(ctx, f, out), 0
}

func (n *powerNode) Readdir(context.Context) (fs.DirStream, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	var list []fuse.DirEntry
	for _, name := range sortedKeys(n.disk.names) {
		list = append(list, fuse.DirEntry{Name: name, Mode: syscall.S_IFREG, Ino: n.disk.names[name].inode})
	}
	return fs.NewListDirStream(list), 0
}

func (n *powerNode) Create(ctx context.Context, name string, _, _ uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	var inode *fs.Inode
	errno := n.disk.change(func() {
		n.disk.inodes++
		f := &powerFile{inode: n.disk.inodes, pages: map[int64]*[diskPage]byte{}, safe: map[int64]*[diskPage]byte{}, dirty: map[int64]bool{}}
		n.disk.rename(map[string]*powerFile{name: f})
		inode = n.child(ctx, f, out)
	})
	return inode, nil, 0, errno
}

func (n *powerNode) Unlink(_ context.Context, name string) syscall.Errno {
	return n.disk.change(func() { n.disk.rename(map[string]*powerFile{name: nil}) })
}

func (n *powerNode) Rename(_ context.Context, name string, _ fs.InodeEmbedder, to string, _ uint32) syscall.Errno {
	return n.disk.change(func() { n.disk.rename(map[string]*powerFile{name: nil, to: n.disk.names[name]}) })
}

func (n *powerNode) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, 0, 0
}

func (n *powerNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	n.attr(&out.Attr)
	return 0
}

func (n *powerNode) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	size, ok := in.GetSize()
	if !ok || n.file == nil {
		return n.Getattr(context.Background(), nil, out)
	}
	return n.disk.change(func() {
		n.file.cut(int64(size))
		n.attr(&out.Attr)
	})
}

func (n *powerNode) Read(_ context.Context, _ fs.FileHandle, into []byte, at int64) (fuse.ReadResult, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	return fuse.ReadResultData(into[:n.file.read(into, at)]), 0
}

func (n *powerNode) Write(_ context.Context, _ fs.FileHandle, data []byte, at int64) (uint32, syscall.Errno) {
	errno := n.disk.change(func() { n.file.write(data, at) })
	return uint32(len(data)), errno
}

func (n *powerNode) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return n.disk.change(func() {
		if n.file != nil {
			n.file.sync()
		}
		n.disk.syncNames(n.file)
	})
}

func (n *powerNode) Flush(context.Context, fs.FileHandle) syscall.Errno { return 0 }

func (n *powerNode) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	out.Bsize, out.Frsize, out.Blocks, out.Bfree, out.Bavail = diskPage, diskPage, 1<<30, 1<<29, 1<<29
	return 0
}
