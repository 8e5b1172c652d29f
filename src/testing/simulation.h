// Simulation: one run of the played cluster. A seed is a weather, what users do and every choice of the threads; the same seed is the same run.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace km::testing {

struct Outcome {
  uint64_t seed = 0;
  uint64_t hash = 0;     // of all choices
  uint64_t changes = 0;  // of threads
  int64_t writes = 0;
  double seconds = 0;    // of played time
  std::string failure;   // empty: all held
};

// Boots a cluster once, in a process of its own, and goes on from there with each seed in a child of that, one after the other. `tell` is called for each,
// in order. `trace`: what happens is written to stdout.
void simulate(const std::vector<uint64_t>& seeds, bool trace, const std::function<void(const Outcome&)>& tell);

}  // namespace km::testing
