// Watchers and a writer for bench/: opens many watches of one collection, changes objects in it, and tells when every watcher has every
// change. Prints one JSON line. Cheap on its own side, so that a server beside it on few cores is measured and not the client.
//
//   bench_fanout --port P --token T --watchers 400 [--connections 4] [--http1] [--protobuf] [--path P] --writes 1000 [--in-flight 100]
//
// --in-flight 1 writes one change after the other is answered; --await waits for all watchers between two changes, and tells how long they took.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

#include "http/client.h"

namespace km::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  int port = 0, pid = 0;
  std::string token, path = "/api/v1/namespaces/default/configmaps", query;
  size_t watchers = 400, connections = 4, writes = 1000, inFlight = 100;
  bool http1 = false, protobuf = false, await = false;
};

// The time that the server's threads have spent on a core, as the scheduler counts it.
double cpuSeconds(int pid) {
  std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  double total = 0;
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator(tasks, error)) {
    std::ifstream f(task.path() / "schedstat");
    double nanoseconds = 0;
    if (f >> nanoseconds) total += nanoseconds / 1e9;
  }
  return total;
}

double residentMb(int pid) {
  std::ifstream f("/proc/" + std::to_string(pid) + "/statm");
  double size = 0, resident = 0;
  f >> size >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 20);
}

class Run {
 public:
  explicit Run(Options options) : o_(std::move(options)) {}

  int main() {
    async::TlsClientOptions tlsOptions;
    tlsOptions.insecure = true;
    auto tls = async::TlsContext::client(tlsOptions);
    if (!tls.ok()) return fail(tls.status());
    endpoint_.host = "127.0.0.1";
    endpoint_.port = o_.port;
    endpoint_.tls = *tls;
    http::Endpoint watched = endpoint_;
    if (o_.http1) watched.speak = http::Endpoint::Speak::kHttp1;
    http::ClientOptions clientOptions;
    clientOptions.maxHttp1Connections = o_.watchers + 1;
    size_t clients = o_.http1 ? 1 : std::min(o_.connections, o_.watchers);
    // One client a connection: a client puts all streams that the server allows on one.
    for (size_t i = 0; i < clients; ++i) clients_.push_back(std::make_unique<http::Client>(loops_.at(0), clientOptions));
    writer_ = std::make_unique<http::Client>(loops_.at(0));
    create();
    for (size_t i = 0; i < o_.watchers; ++i) openWatch(*clients_[i % clients], watched);
    wait([this] { return open_ == o_.watchers; });
    resident_ = residentMb(o_.pid);
    double before = cpuSeconds(o_.pid);
    auto begin = Clock::now();
    write();
    wait([this] { return events_.load() >= o_.watchers * o_.writes; });
    double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    double with = cpuSeconds(o_.pid) - before;
    // The writes alone: the watches are closed first.
    watching_ = false;
    for (auto& w : watches_) w->cancel();
    std::atomic<bool> gone{false};
    loops_.at(0).post([&] {
      clients_.clear();
      gone = true;
      tell();
    });
    wait([&] { return gone.load(); });
    before = cpuSeconds(o_.pid);
    write();
    double alone = cpuSeconds(o_.pid) - before;
    report(seconds, with, alone);
    return 0;
  }

 private:
  int fail(const Status& s) {
    fprintf(stderr, "bench_fanout: %s\n", s.message().c_str());
    _exit(1);
  }

  template <typename Ready>
  void wait(Ready ready) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, ready);
  }

  void tell() {
    std::lock_guard lock(mutex_);
    changed_.notify_all();
  }

  http::CallOptions call(std::string method, std::string target, std::string body = "") {
    http::CallOptions c;
    c.method = std::move(method);
    c.target = std::move(target);
    c.headers.add("authorization", "Bearer " + o_.token);
    c.headers.add("accept", o_.protobuf ? "application/vnd.kubernetes.protobuf;stream=watch" : "application/json");
    if (!body.empty()) c.headers.add("content-type", "application/json");
    c.body = std::move(body);
    return c;
  }

  // A change of one of as many objects as writes are under way: changes of one object would wait for each other.
  std::string body(size_t slot, size_t value) {
    return "{\"metadata\":{\"name\":\"fan-" + std::to_string(slot) + "\"},\"data\":{\"n\":\"" + std::to_string(value) + "\"}}";
  }

  void create() {
    for (size_t i = 0; i < o_.inFlight; ++i) {
      auto c = call("POST", o_.path, body(i, 0));
      auto answer = http::fetch(endpoint_, std::move(c));
      if (!answer.ok()) fail(answer.status());
      if (answer->status != 201 && answer->status != 409) fail(errors::failed(answer->body));
    }
    auto list = http::fetch(endpoint_, call("GET", o_.path + "?limit=1"));
    if (!list.ok()) fail(list.status());
    size_t at = list->body.find("\"resourceVersion\":\"");
    if (at != std::string::npos) version_ = list->body.substr(at + 19, list->body.find('"', at + 19) - at - 19);
  }

  void openWatch(http::Client& client, const http::Endpoint& endpoint) {
    http::CallHandler handler;
    handler.onHead = [this](int status, const http::Headers&) {
      if (status != 200) fail(errors::failed("a watch was answered with " + std::to_string(status)));
      ++open_;
      tell();
    };
    auto left = std::make_shared<Frames>();
    handler.onData = [this, left](std::string_view bytes) {
      bytes_ += bytes.size();
      size_t n = o_.protobuf ? left->count(bytes) : static_cast<size_t>(std::count(bytes.begin(), bytes.end(), '\n'));
      if (n == 0) return;
      size_t before = events_.fetch_add(n), after = before + n, want = target_.load();
      if (before < want && after >= want) tell();
    };
    handler.onError = [this](const Status& why) {
      if (watching_) fail(why);
    };
    handler.onEnd = [this](const http::Headers&) {
      if (watching_) fail(errors::failed("a watch ended early"));
    };
    target_ = o_.watchers * o_.writes;
    watches_.push_back(client.send(endpoint, call("GET", o_.path + "?watch=1&resourceVersion=" + version_ + o_.query), std::move(handler)));
  }

  // Frames of protobuf: four bytes of length before each.
  struct Frames {
    std::string head;
    size_t rest = 0;
    size_t count(std::string_view b) {
      size_t n = 0;
      while (!b.empty()) {
        if (rest == 0) {
          size_t take = std::min(4 - head.size(), b.size());
          head.append(b.substr(0, take));
          b.remove_prefix(take);
          if (head.size() < 4) break;
          for (unsigned char c : head) rest = rest << 8 | c;
          head.clear();
        }
        size_t take = std::min(rest, b.size());
        rest -= take;
        b.remove_prefix(take);
        if (rest == 0) ++n;
      }
      return n;
    }
  };

  void write() {
    begun_ = done_ = 0;
    for (size_t i = 0; i < o_.inFlight; ++i) next(i);
    wait([this] { return done_.load() >= o_.writes; });
  }

  void next(size_t slot) {
    size_t n = begun_.fetch_add(1);
    if (n >= o_.writes) return;
    http::CallHandler handler;
    auto begin = Clock::now();
    handler.onHead = [this](int status, const http::Headers&) {
      if (status != 200) fail(errors::failed("a change was answered with " + std::to_string(status)));
    };
    handler.onEnd = [this, slot, begin, n](const http::Headers&) {
      if (++done_ == o_.writes) tell();
      if (!o_.await || !watching_) return next(slot);
      reached(slot, begin, n + 1);
    };
    handler.onError = [this](const Status& why) { fail(why); };
    writer_->send(endpoint_, call("PUT", o_.path + "/fan-" + std::to_string(slot), body(slot, n + 1)), std::move(handler));
  }

  // Goes on once all watchers have the first `n` changes.
  void reached(size_t slot, Clock::time_point begin, size_t n) {
    if (events_.load() < o_.watchers * n) {
      loops_.at(0).post([this, slot, begin, n] { reached(slot, begin, n); });
      return;
    }
    latencies_.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
    next(slot);
  }

  void report(double seconds, double with, double alone) {
    double events = static_cast<double>(o_.watchers * o_.writes);
    printf("{\"watchers\":%zu,\"connections\":%zu,\"writes\":%zu,\"in_flight\":%zu,\"protocol\":\"%s\",\"events_per_cpu_second\":%.0f,"
           "\"with_writes\":%.0f,\"events_per_second\":%.0f,\"bytes_per_event\":%.0f,\"cpu_seconds\":%.2f,\"writes_alone\":%.2f,"
           "\"rss_watching_mb\":%.1f",
           o_.watchers, o_.http1 ? o_.watchers : std::min(o_.connections, o_.watchers), o_.writes, o_.inFlight, o_.http1 ? "http/1.1" : "h2",
           events / std::max(with - alone, 1e-4), events / std::max(with, 1e-4), events / seconds, static_cast<double>(bytes_.load()) / events,
           with, alone, resident_);
    if (!latencies_.empty()) {
      std::sort(latencies_.begin(), latencies_.end());
      printf(",\"all_told_us_p50\":%.0f,\"all_told_us_p99\":%.0f", latencies_[latencies_.size() / 2], latencies_[latencies_.size() * 99 / 100]);
    }
    printf("}\n");
  }

  const Options o_;
  http::Endpoint endpoint_;
  std::string version_;
  async::LoopGroup loops_{1, "bench"};
  std::vector<std::unique_ptr<http::Client>> clients_;
  std::unique_ptr<http::Client> writer_;
  std::vector<std::shared_ptr<http::Call>> watches_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<size_t> open_{0}, events_{0}, bytes_{0}, target_{0}, begun_{0}, done_{0};
  std::atomic<bool> watching_{true};
  std::vector<double> latencies_;
  double resident_ = 0;  // of the server, with all watches open
};

int main(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    std::string a = argv[i];
    auto value = [&] { return std::string(i + 1 < argc ? argv[++i] : ""); };
    auto number = [&] { return static_cast<size_t>(strtoull(value().c_str(), nullptr, 10)); };
    if (a == "--port") o.port = static_cast<int>(number());
    else if (a == "--pid") o.pid = static_cast<int>(number());
    else if (a == "--token") o.token = value();
    else if (a == "--path") o.path = value();
    else if (a == "--query") o.query = value();
    else if (a == "--watchers") o.watchers = number();
    else if (a == "--connections") o.connections = number();
    else if (a == "--writes") o.writes = number();
    else if (a == "--in-flight") o.inFlight = number();
    else if (a == "--http1") o.http1 = true;
    else if (a == "--protobuf") o.protobuf = true;
    else if (a == "--await") o.await = true;
    else {
      fprintf(stderr, "bench_fanout: unknown argument %s\n", a.c_str());
      return 2;
    }
  }
  if (o.await) o.inFlight = 1;
  return Run(std::move(o)).main();
}

}  // namespace
}  // namespace km::bench

int main(int argc, char** argv) { return km::bench::main(argc, argv); }
