#include "testing/simulation.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>

#include "base/log.h"
#include "testing/faults.h"
#include "testing/invariants.h"
#include "testing/rest.h"
#include "testing/trace.h"
#include "testing/workload.h"

namespace km::testing {
namespace {

using namespace std::chrono_literals;

constexpr uint64_t kBootSeed = 1;
constexpr unsigned kRealSeconds = 60;  // a run that takes longer hangs
constexpr auto kRestWithin = 20min;

struct World {
  Cluster cluster{3};
  Invariants invariants{cluster, 0s};
};

std::string waitForRest(Cluster& cluster) {
  Duration until = playedTime() + kRestWithin;
  int64_t restAt = -1;
  std::string why;
  while (playedTime() < until) {
    sleepFor(1s);
    if (!cluster.observer.violation().empty()) return {};
    why = unrest(cluster);
    if (why.empty() && restAt < 0) restAt = playedTime() / 1s;
    if (!why.empty()) restAt = -1;
    if (restAt >= 0 && playedTime() / 1s - restAt >= 10) {
      why = difference(cluster);
      if (why.empty()) return {};
    }
  }
  return "no rest: " + why;
}

std::string play(World& w) {
  Weather weather = Weather::draw();
  KM_TRACE("weather: {}", weather.describe());
  w.invariants.setSettling(weather.settling);
  Faults faults(w.cluster, w.invariants, weather);
  Workload workload(w.cluster, w.invariants);
  auto failure = [&] { return w.cluster.observer.violation(); };
  faults.begin();
  workload.run(1 + static_cast<int>(draw(3)), 30s + drawDuration(150s), oneIn(2) ? Duration(6s) : Duration(2s));
  faults.end();
  if (!failure().empty()) return failure();
  workload.settle();
  std::string why = waitForRest(w.cluster);
  if (!failure().empty()) return failure();
  if (!why.empty()) return why;
  workload.check();
  return failure();
}

void writeOutcome(int to, const Outcome& o) {
  std::string text = o.failure.substr(0, 2000);
  uint64_t head[] = {o.hash, o.changes, static_cast<uint64_t>(o.writes), static_cast<uint64_t>(o.seconds * 1000), text.size()};
  (void)!::write(to, head, sizeof head);
  (void)!::write(to, text.data(), text.size());
}

int pipeOfChild = -1;
World* worldOfChild = nullptr;

Outcome outcomeNow(std::string failure) {
  Outcome o;
  o.hash = traceHash();
  o.changes = changes();
  o.writes = worldOfChild->cluster.observer.revision();
  o.seconds = std::chrono::duration<double>(playedTime()).count();
  o.failure = std::move(failure);
  return o;
}

[[noreturn]] void child(World& w, uint64_t seed, int to) {
  pipeOfChild = to;
  worldOfChild = &w;
  ::alarm(kRealSeconds);
  onDeadlock([] {
    writeOutcome(pipeOfChild, outcomeNow("deadlock:\n" + describeThreads()));
    std::fflush(stdout);
    ::_exit(0);
  });
  reseed(seed);
  std::string failure = play(w);
  writeOutcome(to, outcomeNow(std::move(failure)));
  std::fflush(stdout);
  ::_exit(0);
}

Outcome readOutcome(uint64_t seed, int from, pid_t pid) {
  Outcome o;
  o.seed = seed;
  auto readAll = [&](void* to, size_t n) {
    char* p = static_cast<char*>(to);
    while (n > 0) {
      ssize_t got = ::read(from, p, n);
      if (got <= 0) return false;
      p += got;
      n -= static_cast<size_t>(got);
    }
    return true;
  };
  uint64_t head[5];
  bool whole = readAll(head, sizeof head);
  if (whole) {
    o.hash = head[0];
    o.changes = head[1];
    o.writes = static_cast<int64_t>(head[2]);
    o.seconds = static_cast<double>(head[3]) / 1000;
    o.failure.resize(head[4]);
    readAll(o.failure.data(), head[4]);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (!whole) o.failure = WIFSIGNALED(status) ? fmt::format("ended by signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status))) : "ended without a word";
  return o;
}

}  // namespace

void simulate(const std::vector<uint64_t>& seeds, bool trace, const std::function<void(const Outcome&)>& tell) {
  setLogSink([](Severity, std::string_view line) {
    if (isTracing()) traceLine(line.substr(0, line.size() - 1));
  });
  begin(kBootSeed);
  auto* w = new World;
  w->cluster.boot();
  w->cluster.observer.onChange([](const Change& c) {
    KM_TRACE("store: {} {} {}{}", c.revision, c.removed ? "delete" : "put", c.key, describeChange(c));
  });
  KM_CHECK(w->cluster.observer.violation().empty());
  for (uint64_t seed : seeds) {
    int ends[2];
    KM_CHECK(::pipe(ends) == 0);
    std::fflush(stdout);
    pid_t pid = ::fork();
    KM_CHECK(pid >= 0);
    if (pid == 0) {
      ::close(ends[0]);
      setTracing(trace);
      child(*w, seed, ends[1]);
    }
    ::close(ends[1]);
    Outcome o = readOutcome(seed, ends[0], pid);
    ::close(ends[0]);
    tell(o);
  }
}

}  // namespace km::testing
