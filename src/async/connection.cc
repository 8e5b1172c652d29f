#include "async/connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

namespace km::async {

namespace {
constexpr size_t kReadBuffer = 64 << 10;
constexpr int kReadsPerTurn = 16;  // so that one busy peer does not keep the loop from the others
constexpr size_t kTlsRecord = 16384;
constexpr auto kLingerTime = std::chrono::milliseconds(400);
constexpr auto kHandshakeTime = std::chrono::seconds(10);

// Reading and gathering happen one after another on a thread, so all its connections share these.
char* readBuffer() {
  thread_local std::unique_ptr<char[]> buffer(new char[kReadBuffer]);
  return buffer.get();
}
char* recordBuffer() {
  thread_local std::unique_ptr<char[]> buffer(new char[kTlsRecord]);
  return buffer.get();
}

bool isAddress(const std::string& host) {
  unsigned char raw[16];
  return inet_pton(AF_INET, host.c_str(), raw) == 1 || inet_pton(AF_INET6, host.c_str(), raw) == 1;
}
}  // namespace

Connection::Connection(Loop& loop, UniqueFd fd)
    : loop_(loop),
      fd_(std::move(fd)),
      watch_(std::make_unique<FdWatch>(loop, fd_.get())),
      remote_(remoteAddress(fd_.get())),
      local_(localAddress(fd_.get())) {
  loop_.track(this, [this] {
    auto keep = handler_;
    close(errors::failed("the loop ended"));
    if (keep) keep->onAbandoned();
  });
}

std::shared_ptr<Connection> Connection::server(Loop& loop, UniqueFd fd,
                                               const std::shared_ptr<TlsContext>& tls) {
  std::shared_ptr<Connection> c(new Connection(loop, std::move(fd)));
  if (tls) {
    c->settings_ = tls->current();
    c->ssl_ = SSL_new(c->settings_->context);
    SSL_set_fd(c->ssl_, c->fd_.get());
    SSL_set_accept_state(c->ssl_);
  }
  return c;
}

std::shared_ptr<Connection> Connection::client(Loop& loop, UniqueFd fd,
                                               const std::shared_ptr<TlsContext>& tls,
                                               const std::string& host, std::string_view alpn) {
  std::shared_ptr<Connection> c(new Connection(loop, std::move(fd)));
  if (!tls) return c;
  c->settings_ = tls->current();
  c->ssl_ = SSL_new(c->settings_->context);
  SSL_set_fd(c->ssl_, c->fd_.get());
  SSL_set_connect_state(c->ssl_);
  if (!alpn.empty()) {
    std::string wire(1, static_cast<char>(alpn.size()));
    wire += alpn;
    SSL_set_alpn_protos(c->ssl_, reinterpret_cast<const unsigned char*>(wire.data()), wire.size());
  }
  std::string name = c->settings_->serverName.empty() ? host : c->settings_->serverName;
  if (name.size() > 2 && name.front() == '[') name = name.substr(1, name.size() - 2);
  if (isAddress(name)) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(c->ssl_), name.c_str());
  } else if (!name.empty()) {
    SSL_set_tlsext_host_name(c->ssl_, name.c_str());
    X509_VERIFY_PARAM_set1_host(SSL_get0_param(c->ssl_), name.c_str(), name.size());
  }
  return c;
}

Connection::~Connection() {
  loop_.untrack(this);
  watch_.reset();
  SSL_free(ssl_);
}

void Connection::start(std::shared_ptr<ConnectionHandler> handler) {
  handler_ = std::move(handler);
  if (ssl_ == nullptr) {
    ready_ = true;
    auto keep = handler_;
    keep->onReady();
    if (!closed_ && !paused_) armRead();
    return;
  }
  timer_ = std::make_unique<Timer>(loop_);
  std::weak_ptr<Connection> weak = weak_from_this();
  timer_->start(kHandshakeTime, [weak] {
    if (auto self = weak.lock()) self->close(errors::failed("TLS handshake timeout"));
  });
  handshake();
}

void Connection::setHandler(std::shared_ptr<ConnectionHandler> handler) {
  if (closed_) {
    loop_.post(
        [handler = std::move(handler)] { handler->onClosed(errors::failed("the connection is closed")); });
    return;
  }
  handler_ = std::move(handler);
}

void Connection::handshake() {
  ERR_clear_error();
  int rc = SSL_do_handshake(ssl_);
  if (rc == 1) {
    ready_ = true;
    timer_.reset();
    auto self = shared_from_this();
    auto keep = handler_;
    keep->onReady();
    if (!closed_ && !paused_) onReadable();  // the first request often came with the end of the handshake
    return;
  }
  int err = SSL_get_error(ssl_, rc);
  if (err == SSL_ERROR_WANT_READ) return armRead();
  if (err == SSL_ERROR_WANT_WRITE) return armWrite();
  if (err == SSL_ERROR_SSL) {
    long verify = SSL_get_verify_result(ssl_);
    if (verify != X509_V_OK) {
      return close(errors::failed(std::string("tls: failed to verify certificate: ") +
                                  X509_verify_cert_error_string(verify)));
    }
    return close(errors::failed("tls: handshake failure: " + tlsErrorText()));
  }
  close(errors::failed("tls: the peer closed during the handshake"));
}

void Connection::armRead() {
  if (readArmed_ || closed_ || eof_) return;
  readArmed_ = true;
  std::weak_ptr<Connection> weak = weak_from_this();
  watch_->onReadable([weak] {
    auto self = weak.lock();
    if (!self || self->closed_) return;
    self->readArmed_ = false;
    if (!self->ready_) return self->handshake();
    if (!self->paused_) self->onReadable();
  });
}

void Connection::armWrite() {
  if (writeArmed_ || closed_) return;
  writeArmed_ = true;
  std::weak_ptr<Connection> weak = weak_from_this();
  watch_->onWritable([weak] {
    auto self = weak.lock();
    if (!self || self->closed_) return;
    self->writeArmed_ = false;
    if (!self->ready_) return self->handshake();
    self->flush();
  });
}

void Connection::onReadable() {
  if (lingering_) return discard();
  auto self = shared_from_this();
  reading_ = true;
  if (ssl_ != nullptr) {
    readTls();
  } else {
    readPlain();
  }
  if (!closed_) {
    auto keep = handler_;
    keep->onReadDone();
  }
  reading_ = false;
  if (!closed_ && (!out_.empty() || closing_)) flush();
}

void Connection::readPlain() {
  char* buffer = readBuffer();
  for (int i = 0; i < kReadsPerTurn; ++i) {
    ssize_t n = ::recv(fd_.get(), buffer, kReadBuffer, 0);
    if (n > 0) {
      auto keep = handler_;
      keep->onData({buffer, static_cast<size_t>(n)});
      if (closed_ || paused_) return;
      if (static_cast<size_t>(n) < kReadBuffer) break;
      continue;
    }
    if (n == 0) return deliverEof();
    if (errno == EINTR) continue;
    if (errno == EAGAIN) break;
    return close(errors::fromErrno("read " + remote_, errno));
  }
  armRead();
}

void Connection::readTls() {
  char* buffer = readBuffer();
  for (int i = 0; i < kReadsPerTurn * 4; ++i) {
    ERR_clear_error();
    int n = SSL_read(ssl_, buffer, kReadBuffer);
    if (n > 0) {
      auto keep = handler_;
      keep->onData({buffer, static_cast<size_t>(n)});
      if (closed_ || paused_) return;
      // Nothing left over: the readiness wait tells of more, without a read that fails first.
      if (SSL_has_pending(ssl_) == 0) return armRead();
      continue;
    }
    int err = SSL_get_error(ssl_, n);
    if (err == SSL_ERROR_WANT_READ) return armRead();
    if (err == SSL_ERROR_WANT_WRITE) {
      armWrite();
      return armRead();
    }
    if (err == SSL_ERROR_ZERO_RETURN) return deliverEof();
    if (err == SSL_ERROR_SYSCALL && errno != 0) return close(errors::fromErrno("read " + remote_, errno));
    if (err == SSL_ERROR_SYSCALL) return deliverEof();
    return close(errors::failed("tls: " + tlsErrorText()));
  }
  // Bytes may wait inside OpenSSL, where the readiness wait cannot see them.
  loop_.post([weak = weak_from_this()] {
    auto c = weak.lock();
    if (c && !c->closed_ && !c->paused_) c->onReadable();
  });
}

void Connection::deliverEof() {
  eof_ = true;
  auto keep = handler_;
  if (ssl_ == nullptr && keep->onEof()) return;
  if (!closed_) close({});
}

void Connection::pauseReading() {
  paused_ = true;
}

void Connection::resumeReading() {
  if (!paused_) return;
  paused_ = false;
  if (closed_ || !ready_) return;
  loop_.post([weak = weak_from_this()] {
    auto c = weak.lock();
    if (c && !c->closed_ && !c->paused_ && !c->eof_) c->onReadable();
  });
}

void Connection::write(std::string_view bytes) {
  if (closed_ || closing_) return;
  out_.append(bytes);
  scheduleFlush();
}

void Connection::write(Buffer bytes) {
  if (closed_ || closing_) return;
  out_.append(std::move(bytes));
  scheduleFlush();
}

void Connection::scheduleFlush() {
  if (out_.size() > lowWatermark_) wasOver_ = true;
  if (reading_ || flushScheduled_ || writeArmed_ || !ready_) return;
  flushScheduled_ = true;
  loop_.defer([self = shared_from_this()] {
    self->flushScheduled_ = false;
    if (!self->closed_) self->flush();
  });
}

void Connection::flush() {
  if (closed_ || !ready_ || writeArmed_ || lingering_) return;
  auto self = shared_from_this();
  if (ssl_ != nullptr) {
    flushTls();
  } else {
    flushPlain();
  }
  if (!closed_) afterFlush();
}

void Connection::flushPlain() {
  while (!out_.empty()) {
    iovec pieces[32];
    size_t count = 0;
    out_.pieces([&](std::string_view piece) {
      pieces[count].iov_base = const_cast<char*>(piece.data());
      pieces[count].iov_len = piece.size();
      return ++count < 32;
    });
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = count;
    ssize_t n = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
    if (n > 0) {
      out_.consume(n);
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return armWrite();
    return close(errors::fromErrno("write " + remote_, errno));
  }
}

void Connection::flushTls() {
  while (!out_.empty()) {
    std::string_view piece = out_.front();
    if (piece.size() < kTlsRecord && piece.size() < out_.size()) {
      piece = {recordBuffer(), out_.gather(recordBuffer(), kTlsRecord)};
    }
    ERR_clear_error();
    int n = SSL_write(ssl_, piece.data(), static_cast<int>(std::min<size_t>(piece.size(), 1 << 30)));
    if (n > 0) {
      out_.consume(n);
      continue;
    }
    int err = SSL_get_error(ssl_, n);
    if (err == SSL_ERROR_WANT_WRITE) return armWrite();
    if (err == SSL_ERROR_WANT_READ) return armRead();
    if (err == SSL_ERROR_SYSCALL) return close(errors::fromErrno("write " + remote_, errno));
    return close(errors::failed("tls: " + tlsErrorText()));
  }
}

void Connection::afterFlush() {
  if (wasOver_ && out_.size() <= lowWatermark_) {
    wasOver_ = false;
    auto keep = handler_;
    keep->onDrained();
    if (closed_) return;
  }
  if (closing_ && out_.empty()) beginLinger();
}

void Connection::closeAfterFlush() {
  if (closed_ || closing_) return;
  closing_ = true;
  if (out_.empty() && !reading_) {
    beginLinger();
  } else {
    scheduleFlush();
  }
}

void Connection::beginLinger() {
  if (lingering_) return;
  lingering_ = true;
  if (!ready_ || eof_) return close({});
  if (ssl_ != nullptr) {
    ERR_clear_error();
    SSL_shutdown(ssl_);
    ERR_clear_error();
  }
  ::shutdown(fd_.get(), SHUT_WR);
  std::weak_ptr<Connection> weak = weak_from_this();
  timer_ = std::make_unique<Timer>(loop_);
  timer_->start(kLingerTime, [weak] {
    if (auto self = weak.lock()) self->close({});
  });
  paused_ = false;
  armRead();
}

void Connection::discard() {
  char* buffer = readBuffer();
  for (int i = 0; i < kReadsPerTurn; ++i) {
    ssize_t n = ::recv(fd_.get(), buffer, kReadBuffer, 0);
    if (n > 0) continue;
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) break;
    return close({});
  }
  armRead();
}

void Connection::close(Status why) {
  if (closed_) return;
  closed_ = true;
  if (ssl_ != nullptr && ready_ && why.ok()) {
    ERR_clear_error();
    SSL_shutdown(ssl_);
    ERR_clear_error();
  }
  watch_.reset();
  timer_.reset();
  // Without this, bytes the peer sent and we did not read would make the kernel send a reset, which takes
  // the end of our answer away from the peer.
  ::shutdown(fd_.get(), SHUT_WR);
  out_.clear();
  loop_.post([self = shared_from_this(), handler = std::move(handler_), why = std::move(why)] {
    self->fd_.reset();
    if (handler) handler->onClosed(why);
  });
}

bool Connection::unheardFor(Duration limit) const {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (closed_ || ::getsockopt(fd_.get(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return false;
  bool asking = info.tcpi_retransmits > 0 || info.tcpi_probes > 0;
  return asking && std::chrono::milliseconds(info.tcpi_last_ack_recv) > limit;
}

std::string_view Connection::alpn() const {
  if (ssl_ == nullptr) return {};
  const unsigned char* data = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_, &data, &size);
  return {reinterpret_cast<const char*>(data), size};
}

std::string_view Connection::tlsVersion() const {
  return ssl_ == nullptr ? std::string_view() : SSL_get_version(ssl_);
}

std::shared_ptr<const PeerCertificates> Connection::peerCertificates() const {
  return PeerCertificates::of(ssl_);
}

}  // namespace km::async
