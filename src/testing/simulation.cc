#include "testing/simulation.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/personality.h>
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
constexpr unsigned kRealSeconds = 20;  // a run that takes longer hangs
constexpr auto kRestWithin = 20min;
constexpr auto kEndsWithin = 1h;

struct World {
  Cluster cluster{3};
  Invariants invariants{cluster, 0s};
};

std::string waitForRest(Cluster& cluster, Workload& workload) {
  Duration until = playedTime() + kRestWithin;
  int64_t restAt = -1;
  std::string why;
  for (int i = 1; playedTime() < until; i++) {
    sleepFor(1s);
    if (i % 30 == 0) workload.settle();
    if (!cluster.observer.violation().empty()) return {};
    why = unrest(cluster);
    if (why.empty() && restAt < 0) restAt = playedTime() / 1s;
    if (!why.empty()) restAt = -1;
    if (restAt >= 0 && playedTime() / 1s - restAt >= 10) {
      why = difference(cluster);
      if (why.empty()) return {};
    }
  }
  if (isTracing()) {
    for (const auto* kind : cluster.observer.kinds()) {
      for (const auto& [key, o] : cluster.observer.allOf(*kind)) KM_TRACE("object: {} {}", kind->name, *o->json());
    }
  }
  KM_TRACE("no rest; threads:\n{}", describeThreads());
  return fmt::format("no rest: {}; {}", why, difference(cluster));
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
  std::string why = waitForRest(w.cluster, workload);
  if (!failure().empty()) return failure();
  if (!why.empty()) return why;
  workload.check();
  return failure();
}

// What a child says of itself, in one write that no other can part.
struct Record {
  uint64_t seed, hash, changes;
  int64_t writes;
  double seconds;
  char failure[3000];
};

void writeOutcome(int to, const Outcome& o) {
  static Record r;
  r = {o.seed, o.hash, o.changes, o.writes, o.seconds, {}};
  std::snprintf(r.failure, sizeof r.failure, "%s", o.failure.c_str());
  (void)!::write(to, &r, sizeof r);
}

int pipeOfChild = -1;
uint64_t seedOfChild = 0;
World* worldOfChild = nullptr;

Outcome outcomeNow(std::string failure) {
  Outcome o;
  o.seed = seedOfChild;
  o.hash = traceHash();
  o.changes = changes();
  o.writes = worldOfChild->cluster.observer.revision();
  o.seconds = std::chrono::duration<double>(playedTime()).count();
  o.failure = std::move(failure);
  return o;
}

[[noreturn]] void child(World& w, uint64_t seed, int to) {
  pipeOfChild = to;
  seedOfChild = seed;
  worldOfChild = &w;
  ::alarm(kRealSeconds);
  onDeadlock([] {
    writeOutcome(pipeOfChild, outcomeNow("deadlock:\n" + describeThreads()));
    std::fflush(stdout);
    ::_exit(0);
  });
  reseed(seed);
  spawn(currentGroup(), "watchdog", [] {
    sleepFor(kEndsWithin);
    KM_TRACE("threads:\n{}", describeThreads());
    writeOutcome(pipeOfChild, outcomeNow("the run does not end: something waits for ever"));
    std::fflush(stdout);
    ::_exit(0);
  });
  std::string failure = play(w);
  writeOutcome(to, outcomeNow(std::move(failure)));
  std::fflush(stdout);
  ::_exit(0);
}

}  // namespace

// Boots, and has a child for each seed. Between them it allocates nothing.
void playSeeds(bool trace) {
  constexpr int kTo = 3;
  // Addresses must be the same each time, too: some containers are ordered by them.
  int personality = ::personality(0xffffffff);
  const char* again[] = {"simulate", kPlay, trace ? "1" : "0", nullptr};
  if (personality != -1 && (personality & ADDR_NO_RANDOMIZE) == 0 && ::personality(static_cast<unsigned long>(personality) | ADDR_NO_RANDOMIZE) != -1) {
    ::execve("/proc/self/exe", const_cast<char**>(again), environ);
  }
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
  uint64_t seed = 0;
  while (::read(STDIN_FILENO, &seed, sizeof seed) == static_cast<ssize_t>(sizeof seed)) {
    pid_t pid = ::fork();
    KM_CHECK(pid >= 0);
    if (pid == 0) {
      setTracing(trace);
      child(*w, seed, kTo);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    if (status == 0) continue;
    static Record r;
    r = {seed, 0, 0, 0, 0, {}};
    std::snprintf(r.failure, sizeof r.failure, "ended by signal %d", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    (void)!::write(kTo, &r, sizeof r);
  }
  ::_exit(0);
}

void simulate(const std::string& program, const std::vector<uint64_t>& seeds, bool trace, const std::function<void(const Outcome&)>& tell) {
  int in[2], out[2];
  KM_CHECK(::pipe2(in, O_CLOEXEC) == 0 && ::pipe2(out, O_CLOEXEC) == 0);
  std::fflush(stdout);
  pid_t pid = ::fork();
  KM_CHECK(pid >= 0);
  if (pid == 0) {
    ::dup2(in[0], STDIN_FILENO);
    if (out[1] == 3) ::fcntl(3, F_SETFD, 0);
    if (out[1] != 3) ::dup2(out[1], 3);
    ::execl(program.c_str(), "simulate", kPlay, trace ? "1" : "0", nullptr);
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  static Record r;
  // One at a time: a pipe need not hold them all.
  for (uint64_t seed : seeds) {
    if (::write(in[1], &seed, sizeof seed) < 0) break;
    size_t have = 0;
    while (have < sizeof r) {
      ssize_t got = ::read(out[0], reinterpret_cast<char*>(&r) + have, sizeof r - have);
      if (got <= 0) break;
      have += static_cast<size_t>(got);
    }
    if (have < sizeof r) {
      tell({.seed = seed, .failure = "the cluster did not boot"});
      break;
    }
    tell({r.seed, r.hash, r.changes, r.writes, r.seconds, r.failure});
  }
  ::close(in[1]);
  ::close(out[0]);
  ::waitpid(pid, nullptr, 0);
}

}  // namespace km::testing
