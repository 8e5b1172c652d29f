// The client's side of HTTP/2, over nghttp2: many calls on a connection.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <unordered_map>

#include "http/client_conn.h"

namespace km::http {

namespace {

constexpr size_t kMaxOutput = 256 << 10;

// The answer of a stream while its head is being received.
struct Incoming {
  std::shared_ptr<CallImpl> call;
  int status = 0;
  Headers headers;  // of the head, then of the trailers
  bool headDone = false;
  bool ended = false;
};

class H2Conn final : public ClientConn, public std::enable_shared_from_this<H2Conn> {
 public:
  H2Conn(PoolLink link, std::shared_ptr<async::Connection> connection);
  ~H2Conn() override { nghttp2_session_del(session_); }

  bool isHttp2() const override { return true; }
  bool available() const override {
    return !dead_ && !goingAway_ && nghttp2_session_check_request_allowed(session_) != 0 &&
           streams_.size() <
               nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS) &&
           (settingsSeen_ || streams_.size() < 100);
  }
  void retire() override {
    goingAway_ = true;
    schedulePump();
  }
  void begin(const std::shared_ptr<CallImpl>& call) override;
  void moreBody(CallImpl& call) override;
  void cancel(CallImpl& call) override;
  void paused(CallImpl& call, bool paused) override;
  void sweep(Duration now) override;
  void shut(const Status& why) override {
    dead_ = true;
    connection_->close(why);
  }

  void onReady() override { schedulePump(); }
  void onData(std::string_view bytes) override;
  void onReadDone() override { pump(); }
  void onDrained() override { pump(); }
  void onClosed(const Status& why) override;

  int onHeader(const nghttp2_frame* frame, std::string_view name, std::string_view value);
  int onFrame(const nghttp2_frame* frame);
  int onDataChunk(int32_t stream, std::string_view bytes);
  int onStreamClose(int32_t stream, uint32_t code);
  ssize_t readData(CallImpl& call, size_t length, uint32_t* flags);
  int sendData(CallImpl& call, const uint8_t* header, size_t length);

 private:
  void schedulePump();
  void pump();
  Incoming* find(int32_t stream) {
    auto it = streams_.find(stream);
    return it == streams_.end() ? nullptr : it->second.get();
  }

  PoolLink link_;
  std::shared_ptr<async::Connection> connection_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<int32_t, std::unique_ptr<Incoming>> streams_;
  Duration lastRead_, idleSince_, pingSent_{0};
  bool receiving_ = false, pumping_ = false, pumpScheduled_ = false;
  bool settingsSeen_ = false, goingAway_ = false, dead_ = false, pingOut_ = false;
};

H2Conn* self(void* user) {
  return static_cast<H2Conn*>(user);
}

nghttp2_session_callbacks* callbacks() {
  static nghttp2_session_callbacks* const made = [] {
    nghttp2_session_callbacks* c;
    nghttp2_session_callbacks_new(&c);
    nghttp2_session_callbacks_set_on_header_callback(
        c, [](nghttp2_session*, const nghttp2_frame* f, const uint8_t* name, size_t nameSize,
              const uint8_t* value, size_t valueSize, uint8_t, void* u) {
          return self(u)->onHeader(f, {reinterpret_cast<const char*>(name), nameSize},
                                   {reinterpret_cast<const char*>(value), valueSize});
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        c, [](nghttp2_session*, const nghttp2_frame* f, void* u) { return self(u)->onFrame(f); });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        c, [](nghttp2_session*, uint8_t, int32_t stream, const uint8_t* data, size_t size, void* u) {
          return self(u)->onDataChunk(stream, {reinterpret_cast<const char*>(data), size});
        });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        c, [](nghttp2_session*, int32_t stream, uint32_t code, void* u) {
          return self(u)->onStreamClose(stream, code);
        });
    nghttp2_session_callbacks_set_send_data_callback(
        c, [](nghttp2_session*, nghttp2_frame*, const uint8_t* header, size_t length,
              nghttp2_data_source* source,
              void* u) { return self(u)->sendData(*static_cast<CallImpl*>(source->ptr), header, length); });
    return c;
  }();
  return made;
}

Duration now() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

H2Conn::H2Conn(PoolLink link, std::shared_ptr<async::Connection> connection)
    : link_(std::move(link)), connection_(std::move(connection)), lastRead_(now()), idleSince_(lastRead_) {
  nghttp2_option* option;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_session_client_new2(&session_, callbacks(), this, option);
  nghttp2_option_del(option);
  nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, link_.options.streamWindow},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 10 << 20},
  };
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<int32_t>(link_.options.connectionWindow));
}

void H2Conn::begin(const std::shared_ptr<CallImpl>& call) {
  call->connection = this;
  call->refill();
  std::vector<nghttp2_nv> fields;
  addField(fields, ":method", call->options.method);
  addField(fields, ":scheme", call->scheme);
  std::string_view host = call->options.headers.get("host");
  addField(fields, ":authority", host.empty() ? std::string_view(call->authority) : host);
  addField(fields, ":path", call->options.target);
  for (Headers::Field f : call->options.headers) {
    if (f.name == "host" || f.name == "content-length" || isConnectionField(f.name)) continue;
    addField(fields, f.name, f.value);
  }
  std::string length = std::to_string(call->options.body.size());
  if (!call->options.streamBody && call->options.body.size() > 0) addField(fields, "content-length", length);
  nghttp2_data_provider provider;
  provider.source.ptr = call.get();
  provider.read_callback = [](nghttp2_session*, int32_t, uint8_t*, size_t size, uint32_t* flags,
                              nghttp2_data_source* source, void* user) {
    return self(user)->readData(*static_cast<CallImpl*>(source->ptr), size, flags);
  };
  bool body = call->options.streamBody || call->out.size() > 0;
  int32_t stream = nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(),
                                          body ? &provider : nullptr, nullptr);
  if (stream < 0) {
    goingAway_ = true;
    poolRetry(call);
    return;
  }
  call->stream = stream;
  auto incoming = std::make_unique<Incoming>();
  incoming->call = call;
  streams_.emplace(stream, std::move(incoming));
  schedulePump();
}

ssize_t H2Conn::readData(CallImpl& call, size_t length, uint32_t* flags) {
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  size_t size = std::min(length, call.out.size());
  if (size == call.out.size() && call.out.finished) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
  } else if (size == 0) {
    call.out.deferred = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  return static_cast<ssize_t>(size);
}

int H2Conn::sendData(CallImpl& call, const uint8_t* header, size_t length) {
  connection_->write(std::string_view(reinterpret_cast<const char*>(header), 9));
  call.out.moveTo(length, *connection_);
  call.setQueued();
  return 0;
}

void H2Conn::moreBody(CallImpl& call) {
  if (!call.out.deferred) return;
  call.out.deferred = false;
  nghttp2_session_resume_data(session_, call.stream);
  schedulePump();
}

void H2Conn::cancel(CallImpl& call) {
  // The stream keeps the call alive until it is closed: nghttp2 may still hold its data source.
  call.connection = nullptr;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, call.stream, NGHTTP2_CANCEL);
  schedulePump();
}

void H2Conn::paused(CallImpl& call, bool paused) {
  if (paused || call.unconsumed == 0) return;
  nghttp2_session_consume(session_, call.stream, call.unconsumed);
  call.unconsumed = 0;
  schedulePump();
}

void H2Conn::onData(std::string_view bytes) {
  if (dead_) return;
  auto keep = shared_from_this();
  lastRead_ = now();
  pingOut_ = false;
  receiving_ = true;
  ssize_t n =
      nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  receiving_ = false;
  if (n < 0) shut(errors::failed(std::string("http2: ") + nghttp2_strerror(static_cast<int>(n))));
}

void H2Conn::schedulePump() {
  if (receiving_ || pumping_ || pumpScheduled_ || dead_) return;
  pumpScheduled_ = true;
  connection_->loop().defer([self = shared_from_this()] {
    self->pumpScheduled_ = false;
    self->pump();
  });
}

void H2Conn::pump() {
  if (dead_ || pumping_) return;
  auto keep = shared_from_this();
  pumping_ = true;
  while (connection_->queued() < kMaxOutput && !dead_) {
    const uint8_t* data = nullptr;
    ssize_t n = nghttp2_session_mem_send(session_, &data);
    if (n < 0) shut(errors::failed(std::string("http2: ") + nghttp2_strerror(static_cast<int>(n))));
    if (n <= 0) break;
    connection_->write(std::string_view(reinterpret_cast<const char*>(data), static_cast<size_t>(n)));
  }
  pumping_ = false;
  if (dead_) return;
  bool over = !nghttp2_session_want_read(session_) && !nghttp2_session_want_write(session_);
  if (over || (goingAway_ && streams_.empty())) {
    dead_ = true;
    connection_->closeAfterFlush();
  }
}

int H2Conn::onHeader(const nghttp2_frame* frame, std::string_view name, std::string_view value) {
  Incoming* in = frame->hd.type == NGHTTP2_HEADERS ? find(frame->hd.stream_id) : nullptr;
  if (in == nullptr) return 0;
  if (name == ":status") {
    in->status = atoi(std::string(value).c_str());
  } else if (!name.empty() && name[0] != ':') {
    in->headers.add(name, value);
  }
  return 0;
}

int H2Conn::onFrame(const nghttp2_frame* frame) {
  if (frame->hd.type == NGHTTP2_SETTINGS && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
    settingsSeen_ = true;
    connection_->loop().post([pool = link_.pool] { poolAvailable(pool); });
  }
  if (frame->hd.type == NGHTTP2_GOAWAY) {
    goingAway_ = true;
    poolAvailable(link_.pool);
  }
  if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
  Incoming* in = find(frame->hd.stream_id);
  if (in == nullptr) return 0;
  auto call = in->call;
  if (frame->hd.type == NGHTTP2_HEADERS && !in->headDone) {
    if (in->status / 100 == 1) {
      in->headers.clear();
    } else {
      in->headDone = true;
      Headers headers = std::move(in->headers);
      in->headers = Headers();
      call->head(in->status, headers);
    }
  }
  in = find(frame->hd.stream_id);
  if (in != nullptr && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) in->ended = true;
  return 0;
}

int H2Conn::onDataChunk(int32_t stream, std::string_view bytes) {
  Incoming* in = find(stream);
  auto call = in != nullptr ? in->call : nullptr;
  if (!call || call->done) {
    nghttp2_session_consume(session_, stream, bytes.size());
    return 0;
  }
  call->unconsumed += bytes.size();
  call->data(bytes);
  if (!call->paused && call->unconsumed > 0) {
    nghttp2_session_consume(session_, stream, call->unconsumed);
    call->unconsumed = 0;
  }
  return 0;
}

int H2Conn::onStreamClose(int32_t stream, uint32_t code) {
  auto it = streams_.find(stream);
  if (it == streams_.end()) return 0;
  auto in = std::move(it->second);
  streams_.erase(it);
  auto call = in->call;
  if (call->unconsumed > 0) {
    nghttp2_session_consume_connection(session_, call->unconsumed);
    call->unconsumed = 0;
  }
  if (streams_.empty()) idleSince_ = now();
  call->connection = nullptr;
  if (in->ended && in->headDone) {
    call->end(in->headers);
  } else if (code == NGHTTP2_REFUSED_STREAM && call->mayRetry()) {
    poolRetry(call);
  } else {
    call->fail(errors::failed(std::string("stream error: ") + nghttp2_http2_strerror(code)));
  }
  // In a turn of its own: this is within a callback of nghttp2.
  connection_->loop().defer([pool = link_.pool] { poolAvailable(pool); });
  return 0;
}

void H2Conn::onClosed(const Status& why) {
  dead_ = true;
  auto keep = shared_from_this();
  poolClosed(link_.pool, this);
  auto streams = std::move(streams_);
  streams_.clear();
  for (auto& [id, in] : streams) {
    auto call = in->call;
    call->connection = nullptr;
    if (in->ended && in->headDone) {
      call->end(in->headers);
    } else {
      call->fail(why.ok() ? errors::failed("http2: server closed the connection: unexpected EOF") : why);
    }
  }
  poolAvailable(link_.pool);
}

void H2Conn::sweep(Duration t) {
  if (dead_) return;
  if (pingOut_ && t - pingSent_ > link_.options.pingTimeout) {
    return shut(errors::failed("http2: client connection lost"));
  }
  if (streams_.empty() && t - idleSince_ > link_.options.idleTimeout) {
    goingAway_ = true;
    nghttp2_session_terminate_session(session_, NGHTTP2_NO_ERROR);
    return schedulePump();
  }
  if (!pingOut_ && t - lastRead_ > link_.options.pingAfter) {
    pingOut_ = true;
    pingSent_ = t;
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
    schedulePump();
  }
}

}  // namespace

std::shared_ptr<ClientConn> makeH2Conn(PoolLink link, std::shared_ptr<async::Connection> connection) {
  return std::make_shared<H2Conn>(std::move(link), std::move(connection));
}

}  // namespace km::http
