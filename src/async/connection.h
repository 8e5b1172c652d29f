// A non-blocking connection, plain or TLS. Everything happens on its loop's thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "async/buffer.h"
#include "async/loop.h"
#include "async/output_queue.h"
#include "async/socket.h"
#include "async/tls.h"

namespace km::async {

// Called by the connection, never from within a call into it.
class ConnectionHandler {
 public:
  virtual ~ConnectionHandler() = default;
  virtual void onReady() {}  // the handshake is done; a plain connection is ready at once
  virtual void onData(std::string_view bytes) = 0;
  virtual void onReadDone() {}  // after all bytes that were there: the place to answer them together
  virtual void onDrained() {}   // the queue fell under the low watermark after it had been over it
  // The peer will send no more. True keeps our direction open (not under TLS); false closes.
  virtual bool onEof() { return false; }
  // Last call, exactly once, whoever closed. Success: an orderly end. The handler is released afterwards.
  virtual void onClosed(const Status& why) = 0;
  // Instead of onClosed when the loop is destroyed with the connection still open: drop references that lead
  // back to the connection. Call nobody.
  virtual void onAbandoned() {}
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // Take the socket; `tls` null: plain. start() must follow on the loop's thread.
  static std::shared_ptr<Connection> server(Loop& loop, UniqueFd fd, const std::shared_ptr<TlsContext>& tls);
  // `host` is verified against the server's certificate unless the settings name another. `alpn`, if not
  // empty, is the only protocol offered.
  static std::shared_ptr<Connection> client(Loop& loop, UniqueFd fd, const std::shared_ptr<TlsContext>& tls,
                                            const std::string& host, std::string_view alpn = {});
  ~Connection();

  // The connection holds the handler until onClosed.
  void start(std::shared_ptr<ConnectionHandler> handler);
  // Within onData or later: further calls go to another handler, the old one is released.
  void setHandler(std::shared_ptr<ConnectionHandler> handler);

  // Queued, and sent together at the end of the turn. Ignored once closed.
  void write(std::string_view bytes);  // copies
  void write(Buffer bytes);
  void flush();  // sends now what the socket takes
  size_t queued() const { return out_.size(); }
  void setLowWatermark(size_t bytes) { lowWatermark_ = bytes; }

  // While paused no bytes are read, and a dead peer is noticed only by writing.
  void pauseReading();
  void resumeReading();

  // At once; unsent bytes are lost. onClosed(why) follows later in the turn.
  void close(Status why = {});
  // Ends our direction after what is queued was sent, then waits shortly for the peer to close too, so that
  // bytes still under way from it do not destroy what we sent. Nothing is delivered meanwhile.
  void closeAfterFlush();
  bool closed() const { return closed_; }

  // Whether bytes that were sent, or the question whether the peer takes more, have waited this long for any sign of
  // the peer: it vanished without a word. A peer that is there but does not read still gives signs.
  bool unheardFor(Duration limit) const;

  Loop& loop() { return loop_; }
  bool isTls() const { return ssl_ != nullptr; }
  std::string_view alpn() const;  // "" if none was agreed
  std::string_view tlsVersion() const;
  std::shared_ptr<const PeerCertificates> peerCertificates() const;
  const std::string& remote() const { return remote_; }
  const std::string& local() const { return local_; }

 private:
  Connection(Loop& loop, UniqueFd fd);
  void handshake();
  void onReadable();
  void readPlain();
  void readTls();
  void deliverEof();
  void armRead();
  void armWrite();
  void scheduleFlush();
  void flushPlain();
  void flushTls();
  void afterFlush();
  void beginLinger();
  void discard();

  Loop& loop_;
  UniqueFd fd_;
  std::unique_ptr<FdWatch> watch_;
  std::shared_ptr<TlsContext::Settings> settings_;
  ssl_st* ssl_ = nullptr;
  std::unique_ptr<Timer> timer_;  // of the handshake, later of the lingering close
  std::shared_ptr<ConnectionHandler> handler_;
  OutputQueue out_;
  std::string remote_, local_;
  size_t lowWatermark_ = 64 << 10;
  bool ready_ = false;
  bool closed_ = false;
  bool paused_ = false;
  bool readArmed_ = false;
  bool writeArmed_ = false;
  bool flushScheduled_ = false;
  bool reading_ = false;  // a flush comes at the end of the read
  bool closing_ = false;  // close once everything is sent
  bool wasOver_ = false;  // the queue was over the low watermark
  bool eof_ = false;
  bool lingering_ = false;
};

}  // namespace km::async
