package feed

import "net-watcher/internal/wire"

// batch is the events of one Publish, encoded in each format that a reader had
// then.
type batch struct {
	events, bytes int                     // of all formats
	frames        [wire.NumFormats]*frame // nil for a format that nobody had
}

// batchLog is the last batches that were published, the newest at the end. The
// zero value is an empty one.
type batchLog struct {
	batches       []batch
	events, bytes int // in batches
}

// add appends b, and removes the oldest batches until there are no more than
// these events and bytes or b is alone.
func (l *batchLog) add(b batch, maxEvents, maxBytes int) {
	l.batches = append(l.batches, b)
	l.events += b.events
	l.bytes += b.bytes
	for len(l.batches) > 1 && (l.events > maxEvents || l.bytes > maxBytes) {
		l.events -= l.batches[0].events
		l.bytes -= l.batches[0].bytes
		l.batches[0] = batch{} // for the garbage collector
		l.batches = l.batches[1:]
	}
}
