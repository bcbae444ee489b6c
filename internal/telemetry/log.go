package telemetry

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"portfolio/internal/printable"
)

// LogHandler is the slog.Handler of the program. It adds the ID of the context's
// request to each record. Its writer collects the records of requests. A record of any other
// kind is written at once, after the collected records.
type LogHandler struct {
	slog.Handler
	out  *LogWriter
	json bool // encode requests here, three times as fast as slog does
}

// NewLogHandler returns a handler that writes JSON, or else text.
func NewLogHandler(out *LogWriter, json bool, level slog.Leveler) LogHandler {
	options := &slog.HandlerOptions{Level: level}
	if json {
		return LogHandler{slog.NewJSONHandler(escaper{out}, options), out, true}
	}
	return LogHandler{slog.NewTextHandler(out, options), out, false}
}

// escaper escapes characters that slog leaves in JSON, and that a terminal would obey.
type escaper struct{ out *LogWriter }

func (e escaper) Write(record []byte) (int, error) {
	_, err := e.out.Write(printable.EscapeJSON(record))
	return len(record), err
}

// Handle implements slog.Handler.
func (h LogHandler) Handle(ctx context.Context, record slog.Record) error {
	request, _ := ctx.Value(requestKey{}).(*Request)
	if record.Message == requestMessage && request != nil {
		if h.json {
			return h.writeRequest(record, request)
		}
		return h.Handler.Handle(ctx, record)
	}
	if request != nil {
		record.AddAttrs(slog.String("request_id", request.ID))
	}
	err := h.Handler.Handle(ctx, record)
	h.out.Flush()
	return err
}

// WithAttrs implements slog.Handler.
func (h LogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return LogHandler{h.Handler.WithAttrs(attrs), h.out, false}
}

// WithGroup implements slog.Handler.
func (h LogHandler) WithGroup(name string) slog.Handler {
	return LogHandler{h.Handler.WithGroup(name), h.out, false}
}

const requestMessage = "request"

// Log logs a request that is over: health checks at level debug, others at info.
func (r *Request) Log(ctx context.Context, handler slog.Handler) {
	level := slog.LevelInfo
	if r.API == Health {
		level = slog.LevelDebug
	}
	if !handler.Enabled(ctx, level) {
		return
	}
	record := slog.NewRecord(time.Now(), level, requestMessage, 0)
	record.AddAttrs(slog.Any("", r)) // the group of an empty key is not nested
	_ = handler.Handle(ctx, record)  // best effort
}

// LogValue implements slog.LogValuer. It truncates texts that clients chose.
func (r *Request) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("api", string(r.API)),
		slog.String("method", Truncate(r.Method)),
		slog.String("path", Truncate(r.Path)),
		slog.Int("status", r.status()),
		slog.String("code", string(r.Outcome())),
		slog.Float64("duration_ms", milliseconds(r.Duration)),
		slog.Int64("bytes", r.Bytes),
		slog.Int64("statements", r.Statements.Load()),
		slog.String("client", r.Client.String()),
	}
	if r.Type != "" {
		attrs = append(attrs, slog.String("type", r.Type), slog.String("operation", Truncate(r.Operation)), slog.Float64("cost", r.Cost))
	}
	if r.UserID != 0 {
		attrs = append(attrs, slog.Int64("user_id", r.UserID))
	}
	if r.TraceID != "" {
		attrs = append(attrs, slog.String("trace_id", r.TraceID))
	}
	return slog.GroupValue(append(attrs, slog.String("request_id", r.ID))...)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

var lines = sync.Pool{New: func() any { return new([]byte) }}

// writeRequest writes what slog's JSON handler writes for LogValue.
func (h LogHandler) writeRequest(record slog.Record, r *Request) error {
	line := lines.Get().(*[]byte)
	defer lines.Put(line)
	b := (*line)[:0]
	b = append(b, `{"time":"`...)
	b = append(record.Time.AppendFormat(b, time.RFC3339Nano), `","level":"`...)
	b = append(append(b, record.Level.String()...), `","msg":"request"`...)
	b = appendText(b, "api", string(r.API))
	b = appendText(b, "method", Truncate(r.Method))
	b = appendText(b, "path", Truncate(r.Path))
	b = strconv.AppendInt(appendKey(b, "status"), int64(r.status()), 10)
	b = appendText(b, "code", string(r.Outcome()))
	b = strconv.AppendFloat(appendKey(b, "duration_ms"), milliseconds(r.Duration), 'f', -1, 64)
	b = strconv.AppendInt(appendKey(b, "bytes"), r.Bytes, 10)
	b = strconv.AppendInt(appendKey(b, "statements"), r.Statements.Load(), 10)
	b = append(r.Client.AppendTo(append(appendKey(b, "client"), '"')), '"')
	if r.Type != "" {
		b = appendText(appendText(b, "type", r.Type), "operation", Truncate(r.Operation))
		b = strconv.AppendFloat(appendKey(b, "cost"), r.Cost, 'f', -1, 64)
	}
	if r.UserID != 0 {
		b = strconv.AppendInt(appendKey(b, "user_id"), r.UserID, 10)
	}
	if r.TraceID != "" {
		b = appendText(b, "trace_id", r.TraceID)
	}
	b = append(appendText(b, "request_id", r.ID), "}\n"...)
	*line = b
	_, err := h.out.Write(b)
	return err
}

func appendKey(b []byte, key string) []byte {
	return append(append(append(b, ',', '"'), key...), '"', ':')
}

func appendText(b []byte, key, text string) []byte {
	b = appendKey(b, key)
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			encoded, _ := json.Marshal(text) // a string can be encoded
			return append(b, printable.EscapeJSON(encoded)...)
		}
	}
	return append(append(append(b, '"'), text...), '"')
}

// LogWriter collects log records and writes many of them at once. So requests do not wait
// for the output, and wait for each other only while a record is copied. Records are written
// within logDelay.
type LogWriter struct {
	out io.Writer

	mu             sync.Mutex
	pending, spare []byte
	timer          *time.Timer // flushes; it runs while records are pending

	writing sync.Mutex // held while out is written to
}

const (
	logDelay  = 100 * time.Millisecond
	logBuffer = 256 << 10 // bytes
)

// NewLogWriter returns a writer to out.
func NewLogWriter(out io.Writer) *LogWriter {
	w := &LogWriter{out: out}
	w.timer = time.AfterFunc(logDelay, w.Flush)
	return w
}

// Write collects a record. It writes the records if they fill the buffer.
func (w *LogWriter) Write(record []byte) (int, error) {
	w.mu.Lock()
	if len(w.pending) == 0 {
		w.timer.Reset(logDelay)
	}
	w.pending = append(w.pending, record...)
	full := len(w.pending) >= logBuffer
	w.mu.Unlock()
	if full {
		w.Flush()
	}
	return len(record), nil
}

// Flush writes the collected records.
func (w *LogWriter) Flush() {
	w.writing.Lock()
	defer w.writing.Unlock()
	w.mu.Lock()
	batch := w.pending
	w.pending, w.spare = w.spare[:0], nil
	w.mu.Unlock()
	if len(batch) > 0 {
		_, _ = w.out.Write(batch) // best effort
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spare = batch
}
