// What the server's two kinds of session have in common. Internal to the room.
#pragma once

#include <memory>
#include <string>
#include <unordered_set>

#include "async/connection.h"
#include "http/server.h"

namespace km::http {

class ServerSession;

// The sessions of one loop; used on its thread only.
struct LoopSessions {
  Loop* loop = nullptr;
  std::unordered_set<ServerSession*> sessions;
  bool draining = false;
  unsigned sweeps = 0;
  std::unique_ptr<async::Timer> sweep;
};

// What a session needs of its server; shared, as a session may outlive it by a turn.
struct SessionContext {
  std::shared_ptr<Handler> handler;
  ServerOptions options;
  LoopSessions* home = nullptr;
  std::shared_ptr<void> core;  // keeps home alive
};

class ServerSession : public async::ConnectionHandler {
 public:
  ServerSession(SessionContext context, std::shared_ptr<async::Connection> connection);
  ~ServerSession() override;
  virtual void shutdown() = 0;           // end what runs, begin nothing new
  virtual void sweep(Duration now) = 0;  // now and then: look for timeouts
  void abort();                          // at once
  // Whether the peer has acknowledged nothing for the options' time, of what was sent to it. Asks the kernel.
  bool unheard() const { return connection_->unheardFor(context_.options.silenceTimeout); }

 protected:
  SessionContext context_;
  std::shared_ptr<async::Connection> connection_;
  std::shared_ptr<ConnectionInfo> info_;
};

// Null bytes: nothing was read yet.
std::shared_ptr<ServerSession> makeH1Session(SessionContext context,
                                             std::shared_ptr<async::Connection> connection);
std::shared_ptr<ServerSession> makeH2Session(SessionContext context,
                                             std::shared_ptr<async::Connection> connection);

inline Duration steadyNow() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

// Splits a request target into path and query.
void splitTarget(std::string_view target, Request& request);

}  // namespace km::http
