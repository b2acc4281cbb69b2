package proof

import "testing"

const limitsScript = `
0 config d
1000 delay r 100 stall
1000 usage memory 64 64
1000 usage goroutines 3 10
2000 calm
`

func TestLimits(t *testing.T) {
	testRows(t, limitsScript,
		breaks("Isolated", "a subscriber is delayed", "delay r 100", "delay r 101"),
		breaks("Bounded", "too much memory", "memory 64", "memory 65"),
		breaks("Clean", "a socket is left behind", "2000 calm", "2000 calm\n3000 left socket /tmp/s"),
	)
}
