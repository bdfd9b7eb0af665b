package supervisor

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// What a worker asks for.
const (
	opStart     = "start"
	opExtend    = "extend"
	opTerminate = "terminate"
	opKill      = "kill"
)

// request goes from the worker to the supervisor.
type request struct {
	Op      string   `json:"op"`
	Run     uint64   `json:"run"`
	Command *Command `json:"command,omitempty"`
	Until   int64    `json:"until,omitempty"` // ns of CLOCK_BOOTTIME; 0 for never
}

// What a supervisor answers.
const (
	opReady   = "ready"
	opStarted = "started"
	opRefused = "refused"
	opEnded   = "ended"
)

// reply goes from the supervisor to the worker.
type reply struct {
	Op      string   `json:"op"`
	Run     uint64   `json:"run"`
	PID     int      `json:"pid,omitempty"`
	Applied []string `json:"applied,omitempty"` // of the sandbox
	Error   string   `json:"error,omitempty"`
	Errno   int      `json:"errno,omitempty"`
	End     *End     `json:"end,omitempty"`
}

// Bounds of a message: its JSON (a command line may have 2 MiB), and the descriptors with it.
const (
	maxMessage = 8 << 20
	maxFiles   = 16
)

// errMessage: what was to be sent is no message.
var errMessage = errors.New("command cannot be sent to the supervisor")

// link is one end of the socket. A message is its length in four bytes, big endian, with the descriptors; then JSON.
type link struct {
	conn     *net.UnixConn
	patience time.Duration // how long the other side may leave a message lying; 0 is for ever
	sending  sync.Mutex
}

// newLink takes over the file, which it closes.
func newLink(file *os.File) (*link, error) {
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		_ = conn.Close()
		return nil, fmt.Errorf("found a %T, allowed is a Unix socket", conn)
	}
	return &link{conn: socket}, nil
}

// send is safe for concurrent use. After an error that is not an errMessage nothing more can be sent: what the other side has of
// the message is not a whole one.
func (l *link) send(message any, files ...*os.File) error {
	body, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("%w: %w", errMessage, err)
	}
	if len(body) > maxMessage || len(files) > maxFiles {
		return fmt.Errorf("%w: found %d bytes with %d descriptors, allowed are %d and %d", errMessage, len(body), len(files), maxMessage, maxFiles)
	}
	var rights []byte
	if len(files) > 0 {
		numbers := make([]int, len(files))
		for i, file := range files {
			numbers[i] = int(file.Fd())
		}
		rights = unix.UnixRights(numbers...)
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	l.sending.Lock()
	defer l.sending.Unlock()
	if l.patience > 0 {
		_ = l.conn.SetWriteDeadline(time.Now().Add(l.patience)) // fails where it is closed, and so does the rest
	}
	if _, _, err := l.conn.WriteMsgUnix(head, rights, nil); err != nil { // four bytes are never cut
		return err
	}
	_, err = l.conn.Write(body)
	return err
}

// receive reads one message. The files are the caller's to close. io.EOF says that the other side is gone.
func (l *link) receive(message any) (files []*os.File, err error) {
	head, rights := make([]byte, 4), make([]byte, unix.CmsgSpace(4*maxFiles))
	n, m, _, _, err := l.conn.ReadMsgUnix(head, rights)
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return nil, err
	}
	if files, err = openRights(rights[:m]); err != nil {
		return files, err
	}
	if _, err := io.ReadFull(l.conn, head[n:]); err != nil {
		return files, err
	}
	length := binary.BigEndian.Uint32(head)
	if length > maxMessage {
		return files, fmt.Errorf("found a message of %d bytes, allowed are %d", length, maxMessage)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(l.conn, body); err != nil {
		return files, err
	}
	return files, json.Unmarshal(body, message)
}

func openRights(rights []byte) (files []*os.File, err error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	for _, message := range messages {
		numbers, err := unix.ParseUnixRights(&message)
		if err != nil {
			return files, err
		}
		for _, number := range numbers {
			unix.CloseOnExec(number)
			files = append(files, os.NewFile(uintptr(number), "received"))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, file := range files {
		_ = file.Close()
	}
}
