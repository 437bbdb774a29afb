module muster.dev/bench

go 1.24
