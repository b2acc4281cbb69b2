// Two variables that would win over the options.
delete process.env.CHOKIDAR_INTERVAL
delete process.env.CHOKIDAR_USEPOLLING
const options = { usePolling: true, interval: 1000, binaryInterval: 1000, ignoreInitial: true }
const watcher = require('chokidar').watch(process.argv[1], options)
watcher.on('ready', () => watcher.on('all', (event, path) => console.log(path)))
