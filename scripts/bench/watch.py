import sys
from watchdog.events import FileSystemEventHandler
from watchdog.observers.polling import PollingObserver

class Printer(FileSystemEventHandler):
    def on_any_event(self, event):
        print(event.src_path, flush=True)

observer = PollingObserver(timeout=1)
observer.schedule(Printer(), sys.argv[1], recursive=True)
observer.start()
observer.join()
