# Draws what `go run ./scripts/bench fanout -tsv docs/fanout.tsv 1000 2500 5000 10000` has
# measured:
#
#	gnuplot scripts/bench/fanout.gnuplot
#
# The figure has a background of its own, and so is legible on any page.
set terminal svg size 820,380 dynamic font "sans-serif,13" background "#ffffff"
set output "docs/fanout.svg"
set datafile separator "\t"
data = "docs/fanout.tsv"
array label[3] = ["TCP", "TLS", "Unix socket"]
array color[3] = ["#0072b2", "#d55e00", "#009e73"]

set multiplot layout 1,2
set xlabel "subscribers"
set grid lc rgb "#dddddd"
set border lc rgb "#444444"
set key left top reverse Left samplen 2
set xrange [0:10500]
set xtics 2500

set title "CPU time of a delivery, µs"
set yrange [0:*]
set offsets 0, 0, graph 0.5, 0
plot for [i=1:3] data index i-1 using 1:2 with linespoints pt 7 ps 0.6 lw 2 lc rgb color[i] title label[i], \
	for [i=1:3] data index i-1 using 1:3 with lines dt 2 lw 1.5 lc rgb color[i] notitle, \
	NaN with lines dt 2 lw 1.5 lc rgb "#444444" title "a bare loop of write, without TLS"

set offsets 0, 0, 0, 0
set title "memory after 100 events, MB"
unset key
plot for [i=1:3] data index i-1 using 1:5 with linespoints pt 7 ps 0.6 lw 2 lc rgb color[i] notitle
unset multiplot
