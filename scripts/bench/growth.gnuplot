# Draws what `go run ./scripts/bench growth -rounds 3 -seconds 5 -tsv docs/growth.tsv` has measured:
#
#	gnuplot scripts/bench/growth.gnuplot
#
# The figure has a background of its own, and so is legible on any page.
set terminal svg size 820,420 dynamic font "sans-serif,13" background "#ffffff"
set output "docs/growth.svg"
set datafile separator "\t"
data = "docs/growth.tsv"
array label[4] = ["files, 100 in each directory", "FILEs, each in a directory", "files in one directory", "a chain of directories"]
array color[4] = ["#0072b2", "#d55e00", "#009e73", "#aa4499"]

set multiplot layout 1,2
set logscale xy
set format x "10^{%T}"
set xlabel "files (n)"
set grid lc rgb "#dddddd"
set border lc rgb "#444444"
set key left top reverse Left samplen 2
set xrange [8:1.3e6]

set title "CPU time of a scan, ms"
set format y "%g"
set yrange [0.05:50000]
plot for [i=1:4] data index i-1 using 1:2 with linespoints pt 7 ps 0.6 lw 2 lc rgb color[i] title label[i], \
	for [i=1:4] data index i-1 using 1:3 with lines dt 2 lw 1.5 lc rgb color[i] notitle, \
	NaN with lines dt 2 lw 1.5 lc rgb "#444444" title "a C loop of the same calls"

set title "memory, peak, MB"
set yrange [3:300]
unset key
plot for [i=1:4] data index i-1 using 1:6 with linespoints pt 7 ps 0.6 lw 2 lc rgb color[i] notitle
unset multiplot
