package follow

import (
	"errors"
	"io"

	"net-watcher/internal/oserr"
	"net-watcher/internal/wire"
)

// ErrNoReader says that nothing reads what is printed any more.
var ErrNoReader = errors.New("nobody reads the output any more")

// Printer returns a function that prints events, at once.
func Printer(w io.Writer, f wire.Format) func([]wire.Event) error {
	return func(events []wire.Event) error {
		_, err := w.Write(wire.Encode(f, events))
		if oserr.IsClosedPipe(err) {
			return ErrNoReader
		}
		return err
	}
}
