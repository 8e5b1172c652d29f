// simulate: runs seeds of the simulation, on all processors, and names those that fail.
//
//   simulate --seeds 1..10000      runs them
//   simulate --trace 4711          runs one and writes all that happens
//   simulate --twice 1..100        runs each twice: the same must happen
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <thread>

#include "testing/simulation.h"

using namespace km::testing;

namespace {

// "1..100,7,9": ranges and single ones.
std::vector<uint64_t> seedsOf(const char* text) {
  std::vector<uint64_t> out;
  for (char* at = const_cast<char*>(text); *at != 0;) {
    uint64_t from = std::strtoull(at, &at, 10), to = from;
    if (std::strncmp(at, "..", 2) == 0) to = std::strtoull(at + 2, &at, 10);
    for (uint64_t s = from; s <= to; s++) out.push_back(s);
    if (*at != 0) at++;
  }
  return out;
}

int run(const std::vector<uint64_t>& seeds, bool trace, bool twice) {
  std::vector<uint64_t> all;
  for (uint64_t s : seeds) {
    all.push_back(s);
    if (twice) all.push_back(s);
  }
  uint64_t failed = 0, writes = 0, changed = 0;
  double seconds = 0;
  std::map<uint64_t, uint64_t> hashes;
  simulate("/proc/self/exe", all, trace, [&](const Outcome& o) {
    writes += static_cast<uint64_t>(o.writes);
    changed += o.changes;
    seconds += o.seconds;
    bool differs = twice && hashes.contains(o.seed) && hashes[o.seed] != o.hash;
    hashes[o.seed] = o.hash;
    if (differs) std::printf("seed %lu: two runs of it differ\n", o.seed);
    if (!o.failure.empty()) std::printf("seed %lu failed (hash %lx, %.1f s): %s\n", o.seed, o.hash, o.seconds, o.failure.c_str());
    failed += !o.failure.empty() || differs;
    if (trace) std::printf("seed %lu: hash %lx, %lu changes, %ld writes, %.1f s\n", o.seed, o.hash, o.changes, o.writes, o.seconds);
    std::fflush(stdout);
  });
  std::printf("%zu runs, %lu failed; %lu writes, %lu changes of threads, %.1f hours\n", all.size(), failed, writes, changed, seconds / 3600);
  return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], kPlay) == 0) playSeeds(argv[2][0] == '1');
  if (argc != 3) {
    std::fprintf(stderr, "usage: simulate --seeds A..B | --trace SEED | --twice A..B\n");
    return 2;
  }
  std::string what = argv[1];
  std::vector<uint64_t> seeds = seedsOf(argv[2]);
  if (what == "--trace") return run(seeds, true, false);
  unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  if (const char* n = std::getenv("SIMULATE_PROCESSES")) cores = static_cast<unsigned>(std::atoi(n));
  if (seeds.size() < cores) cores = 1;
  std::vector<pid_t> workers;
  for (unsigned i = 0; i < cores; i++) {
    std::vector<uint64_t> part;
    for (size_t k = i; k < seeds.size(); k += cores) part.push_back(seeds[k]);
    std::fflush(stdout);
    pid_t pid = ::fork();
    if (pid == 0) ::_exit((std::fflush(stdout), run(part, false, what == "--twice")));
    workers.push_back(pid);
  }
  int worst = 0;
  for (pid_t pid : workers) {
    int status = 0;
    ::waitpid(pid, &status, 0);
    if (status != 0) worst = 1;
  }
  return worst;
}
