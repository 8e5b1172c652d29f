#include "http/h2_session.h"

#include <string.h>

#include <algorithm>

#include "http/text.h"

namespace km::http {

namespace {

// Frames are made while fewer bytes than this wait for the socket.
constexpr size_t kMaxOutput = 256 << 10;

H2Session* self(void* user) {
  return static_cast<H2Session*>(user);
}

nghttp2_session_callbacks* callbacks() {
  static nghttp2_session_callbacks* const made = [] {
    nghttp2_session_callbacks* c;
    nghttp2_session_callbacks_new(&c);
    nghttp2_session_callbacks_set_on_begin_headers_callback(
        c, [](nghttp2_session*, const nghttp2_frame* f, void* u) { return self(u)->onBeginHeaders(f); });
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
    nghttp2_session_callbacks_set_on_frame_send_callback(
        c, [](nghttp2_session*, const nghttp2_frame* f, void* u) { return self(u)->onFrameSent(f); });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        c, [](nghttp2_session*, int32_t stream, uint32_t code, void* u) {
          return self(u)->onStreamClose(stream, code);
        });
    nghttp2_session_callbacks_set_send_data_callback(
        c, [](nghttp2_session*, nghttp2_frame* f, const uint8_t* header, size_t length,
              nghttp2_data_source* source, void* u) {
          return self(u)->sendData(*static_cast<H2Exchange*>(source->ptr), f, header, length);
        });
    return c;
  }();
  return made;
}

}  // namespace

H2Session::H2Session(SessionContext context, std::shared_ptr<async::Connection> connection)
    : ServerSession(std::move(context), std::move(connection)), idleSince_(steadyNow()) {
  const ServerOptions& o = context_.options;
  nghttp2_option* option;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_stream_reset_rate_limit(option, o.resetBurst, o.resetsPerSecond);
  nghttp2_option_set_max_outbound_ack(option, 1000);
  nghttp2_session_server_new2(&session_, callbacks(), this, option);
  nghttp2_option_del(option);
  nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, o.maxConcurrentStreams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, o.streamWindow},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(o.maxHeaderBytes)},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  };
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<int32_t>(o.connectionWindow));
  connection_->setLowWatermark(64 << 10);
}

void H2Session::onData(std::string_view bytes) {
  if (dead_) return;
  auto keep = shared_from_this();
  receiving_ = true;
  ssize_t n =
      nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  receiving_ = false;
  if (n >= 0) return;
  dead_ = true;
  connection_->close(errors::failed(std::string("http2: ") + nghttp2_strerror(static_cast<int>(n))));
}

void H2Session::schedulePump() {
  if (receiving_ || pumping_ || pumpScheduled_ || dead_) return;
  pumpScheduled_ = true;
  connection_->loop().defer([self = shared_from_this()] {
    self->pumpScheduled_ = false;
    self->pump();
  });
}

void H2Session::pump() {
  if (dead_ || pumping_) return;
  auto keep = shared_from_this();
  pumping_ = true;
  while (connection_->queued() < kMaxOutput && !dead_) {
    const uint8_t* data = nullptr;
    ssize_t n = nghttp2_session_mem_send(session_, &data);
    if (n < 0) {
      dead_ = true;
      connection_->close(errors::failed(std::string("http2: ") + nghttp2_strerror(static_cast<int>(n))));
      break;
    }
    if (n == 0) break;
    connection_->write(std::string_view(reinterpret_cast<const char*>(data), static_cast<size_t>(n)));
  }
  pumping_ = false;
  if (!dead_ && !nghttp2_session_want_read(session_) && !nghttp2_session_want_write(session_)) {
    connection_->closeAfterFlush();
  }
}

int H2Session::onBeginHeaders(const nghttp2_frame* frame) {
  if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  // Requests that were reset but are still at work count: resetting must not buy unlimited work.
  if (live_->load(std::memory_order_relaxed) > static_cast<int>(4 * context_.options.maxConcurrentStreams)) {
    nghttp2_session_terminate_session(session_, NGHTTP2_ENHANCE_YOUR_CALM);
    return 0;
  }
  auto x = std::make_shared<H2Exchange>(this, frame->hd.stream_id, live_);
  x->self_ = x;
  x->next_ = first_;
  if (first_ != nullptr) first_->previous_ = x.get();
  first_ = x.get();
  ++streams_;
  x->request_.protocol = Protocol::kHttp2;
  x->request_.connection = info_;
  x->request_.headers.reserve(12, 512);
  nghttp2_session_set_stream_user_data(session_, frame->hd.stream_id, x.get());
  return 0;
}

int H2Session::onHeader(const nghttp2_frame* frame, std::string_view name, std::string_view value) {
  if (frame->hd.type != NGHTTP2_HEADERS) return 0;
  H2Exchange* x = find(frame->hd.stream_id);
  if (x == nullptr) return 0;
  Request& r = x->request_;
  x->headerBytes_ += name.size() + value.size() + 32;
  if (x->headerBytes_ > context_.options.maxHeaderBytes ||
      r.headers.size() >= context_.options.maxHeaderCount) {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
    r.trailers.add(name, value);
    return 0;
  }
  if (!name.empty() && name[0] == ':') {
    if (name == ":method") {
      r.method.assign(value);
    } else if (name == ":path") {
      splitTarget(value, r);
    } else if (name == ":authority") {
      r.headers.add("host", value);
    }
    return 0;
  }
  if (name == "host" && r.headers.has("host")) return 0;
  r.headers.add(name, value);
  return 0;
}

int H2Session::onFrame(const nghttp2_frame* frame) {
  if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
  H2Exchange* x = find(frame->hd.stream_id);
  if (x == nullptr) return 0;
  auto keep = x->self_;
  if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
    x->requestDone_ = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    headDone(*x);
  }
  if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) requestDone(*x);
  return 0;
}

void H2Session::headDone(H2Exchange& x) {
  Request& r = x.request_;
  x.bodyless_ = r.method == "HEAD";
  x.limit_ = context_.handler->bodyLimit(r);
  if (x.limit_ == Handler::kStreamBody) {
    context_.handler->handle(x.self_);
    return;
  }
  if (x.requestDone_) return;
  std::string_view length = r.headers.get("content-length");
  if (length.empty()) return;
  unsigned long long n = strtoull(std::string(length).c_str(), nullptr, 10);
  if (n > x.limit_) {
    x.throwAway_ = true;
    context_.handler->tooLarge(x.self_);
  } else {
    r.body.reserve(n);
  }
}

void H2Session::requestDone(H2Exchange& x) {
  x.requestDone_ = true;
  if (x.throwAway_ || x.session_ == nullptr) return;
  if (x.limit_ == Handler::kStreamBody) {
    x.deliverBody({}, true);
  } else {
    context_.handler->handle(x.self_);
  }
}

int H2Session::onDataChunk(int32_t stream, std::string_view bytes) {
  H2Exchange* x = find(stream);
  if (x == nullptr) {
    nghttp2_session_consume(session_, stream, bytes.size());
    return 0;
  }
  auto keep = x->self_;
  if (!x->throwAway_ && x->limit_ == Handler::kStreamBody) {
    x->unconsumed_ += bytes.size();
    x->deliverBody(bytes, false);
    if (!x->bodyPaused_) consume(*x, x->unconsumed_);
    return 0;
  }
  if (x->throwAway_) {  // its window is not opened again
    nghttp2_session_consume_connection(session_, bytes.size());
    return 0;
  }
  nghttp2_session_consume(session_, stream, bytes.size());
  if (x->request_.body.size() + bytes.size() > x->limit_) {
    x->throwAway_ = true;
    x->request_.body = {};
    context_.handler->tooLarge(keep);
    return 0;
  }
  x->request_.body.append(bytes);
  return 0;
}

void H2Session::consume(H2Exchange& x, size_t bytes) {
  x.unconsumed_ -= bytes;
  nghttp2_session_consume(session_, x.stream_, bytes);
  schedulePump();
}

void H2Session::submit(H2Exchange& x, int status, const Headers& headers, const size_t* length, bool data) {
  thread_local std::vector<nghttp2_nv> fields;
  fields.clear();
  char statusText[16];
  snprintf(statusText, sizeof statusText, "%03d", status);
  char lengthText[24];
  addField(fields, ":status", {statusText, 3});
  bool date = false;
  for (Headers::Field f : headers) {
    if (f.name == "content-length" && length != nullptr) continue;
    if (isConnectionField(f.name)) continue;
    if (f.name == "date") date = true;
    addField(fields, f.name, f.value);
  }
  if (!date) addField(fields, "date", httpDate());
  if (length != nullptr) {
    int n = snprintf(lengthText, sizeof lengthText, "%zu", *length);
    addField(fields, "content-length", {lengthText, static_cast<size_t>(n)});
  }
  nghttp2_data_provider provider;
  provider.source.ptr = &x;
  provider.read_callback = [](nghttp2_session*, int32_t, uint8_t*, size_t size, uint32_t* flags,
                              nghttp2_data_source* source, void* user) {
    return self(user)->readData(*static_cast<H2Exchange*>(source->ptr), size, flags);
  };
  int rc =
      nghttp2_submit_response(session_, x.stream_, fields.data(), fields.size(), data ? &provider : nullptr);
  if (rc != 0) resetStream(x, NGHTTP2_INTERNAL_ERROR);
  if (!data) x.responseDone_ = true;
  // As Go's server reads it, since HTTP/2 has no such header: GOAWAY, and the end once nothing is under way.
  if (headers.get("connection") == "close") shutdown();
  schedulePump();
}

ssize_t H2Session::readData(H2Exchange& x, size_t length, uint32_t* flags) {
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  size_t size = std::min(length, x.out_.size());
  if (size == x.out_.size() && x.out_.finished) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!x.trailers_.empty()) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      std::vector<nghttp2_nv> fields;
      for (Headers::Field f : x.trailers_) addField(fields, f.name, f.value);
      nghttp2_submit_trailer(session_, x.stream_, fields.data(), fields.size());
    }
    x.responseDone_ = true;
  } else if (size == 0) {
    x.out_.deferred = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  return static_cast<ssize_t>(size);
}

int H2Session::sendData(H2Exchange& x, const nghttp2_frame* frame, const uint8_t* header, size_t length) {
  connection_->write(std::string_view(reinterpret_cast<const char*>(header), 9));
  x.out_.moveTo(length, *connection_);
  x.setQueued(x.out_.size());
  return 0;
}

int H2Session::onFrameSent(const nghttp2_frame* frame) {
  if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
  if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
  H2Exchange* x = find(frame->hd.stream_id);
  // The answer is complete before the request: the client need not send the rest. It is told a little later,
  // as some clients (curl 7.88) drop an answer that comes together with the reset.
  if (x != nullptr && !x->requestDone_) {
    x->throwAway_ = true;
    lateResets_.push_back(frame->hd.stream_id);
    if (!lateReset_) lateReset_ = std::make_unique<async::Timer>(connection_->loop());
    if (!lateReset_->armed()) lateReset_->start(std::chrono::milliseconds(100), [this] { sendLateResets(); });
  }
  return 0;
}

void H2Session::sendLateResets() {
  for (int32_t stream : lateResets_) {
    if (find(stream) != nullptr) {
      nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream, NGHTTP2_NO_ERROR);
    }
  }
  lateResets_.clear();
  schedulePump();
}

int H2Session::onStreamClose(int32_t stream, uint32_t code) {
  H2Exchange* x = find(stream);
  if (x == nullptr) return 0;
  nghttp2_session_set_stream_user_data(session_, stream, nullptr);
  auto keep = std::move(x->self_);
  size_t unconsumed = x->unconsumed_;
  unlink(*x);
  x->session_ = nullptr;
  if (unconsumed > 0) nghttp2_session_consume_connection(session_, unconsumed);
  if (x->responseDone_) {
    x->done();
  } else {
    x->tellClosed();
  }
  if (streams_ == 0) {
    idleSince_ = steadyNow();
    if (draining_) nghttp2_session_terminate_session(session_, NGHTTP2_NO_ERROR);
  }
  return 0;
}

void H2Session::unlink(H2Exchange& x) {
  if (x.previous_ != nullptr) x.previous_->next_ = x.next_;
  if (x.next_ != nullptr) x.next_->previous_ = x.previous_;
  if (first_ == &x) first_ = x.next_;
  x.previous_ = x.next_ = nullptr;
  --streams_;
}

void H2Session::resumeData(H2Exchange& x) {
  if (!x.out_.deferred) return;
  x.out_.deferred = false;
  nghttp2_session_resume_data(session_, x.stream_);
  schedulePump();
}

void H2Session::resetStream(H2Exchange& x, uint32_t code) {
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, x.stream_, code);
  schedulePump();
}

void H2Session::onClosed(const Status& why) {
  dead_ = true;
  finalGoaway_.reset();
  lateReset_.reset();
  while (first_ != nullptr) {
    auto keep = std::move(first_->self_);
    unlink(*keep);
    keep->session_ = nullptr;
    keep->tellClosed();
  }
}

void H2Session::shutdown() {
  if (draining_ || dead_) return;
  draining_ = true;
  if (streams_ == 0) {
    nghttp2_session_terminate_session(session_, NGHTTP2_NO_ERROR);
  } else {
    // First a notice, so that requests under way are still taken; the last stream is named a little later.
    nghttp2_submit_shutdown_notice(session_);
    finalGoaway_ = std::make_unique<async::Timer>(connection_->loop());
    finalGoaway_->start(std::chrono::milliseconds(500), [this] {
      nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                            NGHTTP2_NO_ERROR, nullptr, 0);
      schedulePump();
    });
  }
  schedulePump();
}

void H2Session::sweep(Duration now) {
  if (streams_ == 0 && now - idleSince_ > context_.options.idleTimeout) shutdown();
}

void H2Exchange::respondNow(int status, Headers&& headers, Body&& body) {
  if (started_) return;
  started_ = true;
  size_t length = body.size();
  bool none = status == 204 || status / 100 == 1;
  bool silent = none || status == 304 || bodyless_;
  bool tell = !none && !(status == 304 && length == 0);
  bool data = !silent && length > 0;
  if (data) {
    body.take([this](Buffer&& piece) { out_.append(std::move(piece)); });
    setQueued(out_.size());
  }
  out_.finished = true;
  session_->submit(*this, status, headers, tell ? &length : nullptr, data);
}

void H2Exchange::startNow(int status, Headers&& headers) {
  if (started_) return;
  started_ = true;
  bodyless_ = bodyless_ || status == 204 || status == 304;
  session_->submit(*this, status, headers, nullptr, !bodyless_);
}

void H2Exchange::writeNow(Body&& bytes) {
  if (!started_) startNow(200, {});
  if (bodyless_ || out_.finished) return;
  bytes.take([this](Buffer&& piece) { out_.append(std::move(piece)); });
  setQueued(out_.size());
  session_->resumeData(*this);
}

void H2Exchange::finishNow(Headers&& trailers) {
  if (!started_) startNow(200, {});
  if (bodyless_ || out_.finished) return;
  out_.finished = true;
  trailers_ = std::move(trailers);
  session_->resumeData(*this);
}

void H2Exchange::resetNow() {
  session_->resetStream(*this, NGHTTP2_INTERNAL_ERROR);
}

void H2Exchange::bodyPaused(bool paused) {
  if (!paused && unconsumed_ > 0) session_->consume(*this, unconsumed_);
}

std::shared_ptr<ServerSession> makeH2Session(SessionContext context,
                                             std::shared_ptr<async::Connection> connection) {
  return std::make_shared<H2Session>(std::move(context), std::move(connection));
}

}  // namespace km::http
