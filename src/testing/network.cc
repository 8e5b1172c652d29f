#include "testing/network.h"

#include <map>
#include <set>
#include <vector>

#include "testing/mailbox.h"
#include "testing/trace.h"

namespace km::testing {

using client::ListOptions;
using client::ObjectCallback;
using client::ObjectPtr;
using client::Target;
using client::WriteOptions;

namespace {

Status broken() { return Status(500, "InternalError", "read: connection reset by peer"); }
Status refused() { return Status(500, "InternalError", "connect: connection refused"); }

int codeOf(const Status& s) { return s.code(); }
template <typename T>
int codeOf(const Result<T>& r) {
  return r.ok() ? 200 : r.status().code();
}

constexpr int kServerThreads = 2;
constexpr Duration kGrace = std::chrono::seconds(10);

}  // namespace

// One life of the API server, as the network sees it.
struct Server {
  Mailbox inbox;
  Network::Connect connect;
  std::map<std::string, std::unique_ptr<client::Client>> clients;  // by user and agent
  std::map<uint64_t, std::unique_ptr<client::Watch>> watches;
  std::set<uint64_t> dropped;  // watches that are not wanted any more, though they are not begun yet
  bool open = true;
  int underWay = 0;  // calls without an answer yet

  client::Client& clientFor(const authn::UserInfo& user, const std::string& agent) {
    auto& slot = clients[user.name + " " + agent];
    if (!slot) slot = connect(user, agent);
    return *slot;
  }
  void endWatch(uint64_t id) {
    auto it = watches.find(id);
    if (it == watches.end()) {
      dropped.insert(id);
      return;
    }
    auto gone = std::move(it->second);
    watches.erase(it);
  }
};

struct Network::State {
  NetworkFaults faults;
  std::function<void(const LostCall&)> tellLost;
  std::shared_ptr<Server> server;
  std::map<uint64_t, std::weak_ptr<Process::Link>> links;
  uint64_t next = 1;

  Duration oneWay() const {
    Duration d = drawDuration(faults.latency);
    if (oneIn(faults.slowOneIn)) d += drawDuration(faults.slow);
    return d;
  }
  void failAll();
};

// A watch as both ends know it.
struct WatchState {
  uint64_t id = 0;
  std::string_view resource;
  std::shared_ptr<client::WatchSink> sink;
  std::shared_ptr<Server> server;
  bool wanted = true;   // by the client
  bool ended = false;   // nothing follows from the server
  Duration last{0};     // when the latest event arrives
  bool running = false;
  bool inCall = false;  // the transport's thread is inside the sink
};

struct Network::Process::Link {
  std::shared_ptr<Network::State> net;
  std::string name;
  Group group = 0;
  uint64_t id = 0;
  Mailbox inbox;
  struct Pending {
    std::function<void(Status)> fail;
    LostCall what;
  };
  std::map<uint64_t, Pending> pending;
  std::map<uint64_t, std::shared_ptr<WatchState>> watches;
  const void* transport = nullptr;

  void answerWith(uint64_t call, const Status& why, bool mayHaveHappened) {
    auto it = pending.find(call);
    if (it == pending.end()) return;
    Pending p = std::move(it->second);
    pending.erase(it);
    KM_TRACE("net: call {}: {} {}/{} by {} fails: {}", call, p.what.verb, p.what.target.resource->name, p.what.target.name, name, why.message());
    if (mayHaveHappened && net->tellLost) net->tellLost(p.what);
    p.fail(why);
  }

  void deliver(const std::shared_ptr<WatchState>& w, const std::function<void()>& call) {
    if (!w->wanted) return;
    w->running = true;
    call();
    w->running = false;
    wakeUp(w.get());
  }
  void endWatch(const std::shared_ptr<WatchState>& w, const Status& why, Duration delay) {
    if (std::exchange(w->ended, true)) return;
    KM_TRACE("net: watch {} of {} by {} ends: {}", w->id, w->resource, name, why.message());
    watches.erase(w->id);
    inbox.postAt(std::max(w->last, playedTime() + delay), [this, w, why] {
      deliver(w, [&] { w->sink->onEnd(why); });
    });
    if (w->server && w->server->open) {
      w->server->inbox.post(Duration(0), [server = w->server.get(), id = w->id] { server->endWatch(id); });
    }
  }
};

using Link = Network::Process::Link;

namespace {

// The server's end of a watch.
class Sender : public client::WatchSink {
 public:
  Sender(std::shared_ptr<Link> link, std::shared_ptr<WatchState> w) : link_(std::move(link)), w_(std::move(w)) {}
  void onEvent(const client::WatchEvent& event) override {
    if (w_->ended) return;
    const NetworkFaults& f = link_->net->faults;
    if (oneIn(f.breakWatchOneIn)) return link_->endWatch(w_, broken(), Duration(0));
    if (oneIn(f.expireWatchOneIn)) {
      send({client::EventType::kError, nullptr, errors::expired("too old resource version")});
      return link_->endWatch(w_, errors::expired("too old resource version"), Duration(0));
    }
    send(event);
  }
  void onEnd(const Status& why) override {
    Status s = why;
    link_->endWatch(w_, s, Duration(0));
  }

 private:
  void send(const client::WatchEvent& event) {
    const NetworkFaults& f = link_->net->faults;
    Duration at = playedTime() + drawDuration(f.latency);
    if (oneIn(f.lagWatchOneIn)) at += drawDuration(f.lag);
    w_->last = std::max(w_->last, at);
    link_->inbox.postAt(w_->last, [link = link_.get(), w = w_, event] {
      link->deliver(w, [&] { w->sink->onEvent(event); });
    });
  }
  std::shared_ptr<Link> link_;
  std::shared_ptr<WatchState> w_;
};

class Handle : public client::Watch {
 public:
  Handle(std::shared_ptr<Link> link, std::shared_ptr<WatchState> w) : link_(std::move(link)), w_(std::move(w)) {}
  ~Handle() override {
    w_->wanted = false;
    if (w_->running && link_->transport != threadMark()) awaitThat(w_.get(), [this] { return !w_->running; });
    link_->watches.erase(w_->id);
    if (!std::exchange(w_->ended, true) && w_->server && w_->server->open) {
      w_->server->inbox.post(link_->net->oneWay(), [server = w_->server.get(), id = w_->id] { server->endWatch(id); });
    }
  }

 private:
  std::shared_ptr<Link> link_;
  std::shared_ptr<WatchState> w_;
};

class RemoteClient : public client::Client {
 public:
  RemoteClient(std::shared_ptr<Link> link, authn::UserInfo user, std::string agent)
      : link_(std::move(link)), user_(std::move(user)), agent_(std::move(agent)) {}

  void get(const Target& t, ObjectCallback done) override {
    call<Result<ObjectPtr>>("get", t, nullptr, std::move(done), [t](client::Client& c, ObjectCallback d) { c.get(t, std::move(d)); });
  }
  void list(const Target& t, const ListOptions& options, client::ListCallback done) override {
    call<Result<client::ObjectList>>("list", t, nullptr, std::move(done),
                                     [t, options](client::Client& c, client::ListCallback d) { c.list(t, options, std::move(d)); });
  }
  void create(const Target& t, ObjectPtr o, const WriteOptions& options, ObjectCallback done) override {
    call<Result<ObjectPtr>>("create", t, o, std::move(done), [t, o, options](client::Client& c, ObjectCallback d) { c.create(t, o, options, std::move(d)); });
  }
  void update(const Target& t, ObjectPtr o, const WriteOptions& options, ObjectCallback done) override {
    call<Result<ObjectPtr>>("update", t, o, std::move(done), [t, o, options](client::Client& c, ObjectCallback d) { c.update(t, o, options, std::move(d)); });
  }
  void patch(const Target& t, client::PatchType type, std::string body, const WriteOptions& options, ObjectCallback done) override {
    call<Result<ObjectPtr>>("patch", t, nullptr, std::move(done), [t, type, body = std::move(body), options](client::Client& c, ObjectCallback d) {
      c.patch(t, type, body, options, std::move(d));
    });
  }
  void remove(const Target& t, const client::DeleteOptions& options, client::StatusCallback done) override {
    call<Status>("delete", t, nullptr, std::move(done), [t, options](client::Client& c, client::StatusCallback d) { c.remove(t, options, std::move(d)); });
  }
  void removeCollection(const Target& t, const ListOptions& which, const client::DeleteOptions& options, client::StatusCallback done) override {
    call<Status>("deletecollection", t, nullptr, std::move(done), [t, which, options](client::Client& c, client::StatusCallback d) {
      c.removeCollection(t, which, options, std::move(d));
    });
  }
  std::unique_ptr<client::Watch> watch(const Target& t, const ListOptions& options, std::shared_ptr<client::WatchSink> sink) override {
    auto w = std::make_shared<WatchState>();
    Network::State& net = *link_->net;
    w->id = net.next++;
    w->resource = t.resource->name;
    KM_TRACE("net: watch {} of {} by {} begins after {}", w->id, w->resource, link_->name, options.resourceVersion);
    w->sink = std::move(sink);
    w->server = net.server;
    if (!w->server || !w->server->open) {
      link_->endWatch(w, refused(), net.oneWay());
    } else {
      link_->watches[w->id] = w;
      w->server->inbox.post(net.oneWay(), [link = link_, w, t, options, user = user_, agent = agent_] {
        Server& server = *w->server;
        if (w->ended || server.dropped.erase(w->id) != 0) return;
        auto begun = server.clientFor(user, agent).watch(t, options, std::make_shared<Sender>(link, w));
        KM_TRACE("net: watch {} is served", w->id);
        server.watches[w->id] = std::move(begun);
        if (w->ended) server.endWatch(w->id);
      });
    }
    return std::make_unique<Handle>(link_, w);
  }

 private:
  template <typename R>
  void call(const char* verb, const Target& t, ObjectPtr body, std::function<void(R)> done, std::function<void(client::Client&, std::function<void(R)>)> run) {
    Network::State& net = *link_->net;
    uint64_t id = net.next++;
    auto answer = std::make_shared<std::function<void(R)>>(std::move(done));
    if (std::string_view(verb) == "list") KM_TRACE("net: call {}: list {} by {}", id, t.resource->name, link_->name);
    link_->pending[id] = {[answer](Status s) { (*answer)(R(std::move(s))); }, {agent_, verb, t, std::move(body)}};
    std::shared_ptr<Server> server = net.server;
    if (!server || !server->open || oneIn(net.faults.loseRequestOneIn)) {
      Status why = server && server->open ? broken() : refused();
      link_->inbox.post(net.oneWay(), [link = link_.get(), id, why] { link->answerWith(id, why, false); });
      return;
    }
    auto back = [link = link_, id, answer, server](R r) {
      Network::State& net = *link->net;
      server->underWay--;
      wakeUp(&server->underWay);
      if (oneIn(net.faults.loseAnswerOneIn)) {
        link->inbox.post(net.oneWay(), [link = link.get(), id] { link->answerWith(id, broken(), true); });
        return;
      }
      // A server that could not write does not know what of it will be there after a restart.
      if (codeOf(r) >= 500 && net.tellLost) {
        if (auto it = link->pending.find(id); it != link->pending.end()) net.tellLost(it->second.what);
      }
      auto held = std::make_shared<R>(std::move(r));
      link->inbox.post(net.oneWay(), [link = link.get(), id, answer, held] {
        if (link->pending.erase(id) == 0) return;
        if constexpr (std::is_same_v<R, Result<client::ObjectList>>) KM_TRACE("net: call {} is answered", id);
        (*answer)(std::move(*held));
      });
    };
    server->inbox.post(net.oneWay(), [server = server.get(), run = std::move(run), back, user = user_, agent = agent_] {
      server->underWay++;
      run(server->clientFor(user, agent), back);
    });
  }

  std::shared_ptr<Link> link_;
  const authn::UserInfo user_;
  const std::string agent_;
};

}  // namespace

// Who was connected to a server that is no more learns it.
void Network::State::failAll() {
  for (auto& [id, weak] : links) {
    auto link = weak.lock();
    if (!link || isKilled(link->group)) continue;
    std::vector<uint64_t> calls;
    for (auto& [call, p] : link->pending) calls.push_back(call);
    for (uint64_t call : calls) {
      link->inbox.post(oneWay(), [link = link.get(), call] { link->answerWith(call, broken(), true); });
    }
    auto watches = link->watches;
    for (auto& [id2, w] : watches) link->endWatch(w, broken(), oneWay());
  }
}

Network::Network() : state_(std::make_shared<State>()) {}
Network::~Network() = default;
void Network::setFaults(const NetworkFaults& faults) { state_->faults = faults; }
void Network::onLost(std::function<void(const LostCall&)> tell) { state_->tellLost = std::move(tell); }
bool Network::isServed() const { return state_->server && state_->server->open; }

void Network::serve(Connect connect) {
  auto server = std::make_shared<Server>();
  server->connect = std::move(connect);
  state_->server = server;
  for (int i = 0; i < kServerThreads; i++) {
    spawn(currentGroup(), "serve", [server] { server->inbox.run(); });
  }
}

std::shared_ptr<void> Network::stopServing() {
  auto server = std::move(state_->server);
  if (!server) return nullptr;
  server->open = false;
  server->inbox.close();
  auto watches = std::move(server->watches);
  watches.clear();
  Duration until = playedTime() + kGrace;
  while (server->underWay > 0 && playedTime() < until) await(&server->underWay, until - playedTime());
  state_->failAll();
  return server;
}

void Network::serverKilled() {
  auto server = std::move(state_->server);
  if (!server) return;
  server->open = false;
  new std::shared_ptr<Server>(server);  // what a killed process had is leaked
  state_->failAll();
}

std::unique_ptr<Network::Process> Network::process(std::string name) {
  auto link = std::make_shared<Link>();
  link->net = state_;
  link->name = std::move(name);
  link->group = currentGroup();
  link->id = state_->next++;
  state_->links[link->id] = link;
  spawn(link->group, "transport", [link] {
    link->transport = threadMark();
    link->inbox.run();
  });
  return std::unique_ptr<Process>(new Process(link));
}

void Network::processKilled(Group group) {
  for (auto it = state_->links.begin(); it != state_->links.end();) {
    auto link = it->second.lock();
    if (!link || link->group != group) {
      ++it;
      continue;
    }
    new std::shared_ptr<Link>(link);
    for (auto& [id, p] : link->pending) {
      if (state_->tellLost) state_->tellLost(p.what);
    }
    for (auto& [id, w] : link->watches) {
      w->ended = true;
      w->wanted = false;
      if (w->server && w->server->open) {
        w->server->inbox.post(Duration(0), [server = w->server.get(), id = id] { server->endWatch(id); });
      }
    }
    it = state_->links.erase(it);
  }
}

void Network::breakWatches(uint32_t in) {
  for (auto& [id, weak] : state_->links) {
    auto link = weak.lock();
    if (!link) continue;
    auto watches = link->watches;
    for (auto& [n, w] : watches) {
      if (oneIn(in)) link->endWatch(w, broken(), Duration(0));
    }
  }
}

Network::Process::~Process() {
  link_->inbox.close();
  auto pending = std::move(link_->pending);
  for (auto& [id, p] : pending) {
    if (link_->net->tellLost) link_->net->tellLost(p.what);
  }
  for (auto& [id, p] : pending) p.fail(errors::serviceUnavailable("the client is closed"));
  link_->net->links.erase(link_->id);
}

std::unique_ptr<client::Client> Network::Process::client(authn::UserInfo user, std::string agent) {
  if (!user.in(authn::kAllAuthenticated)) user.groups.emplace_back(authn::kAllAuthenticated);
  return std::make_unique<RemoteClient>(link_, std::move(user), std::move(agent));
}

}  // namespace km::testing
