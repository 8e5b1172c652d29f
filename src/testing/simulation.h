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
// in order. `trace`: what happens is written to stdout. `program` is one whose main() calls playSeeds() for the argument kPlay: it is executed anew, so
// that every run finds the same memory, whoever asks for it.
void simulate(const std::string& program, const std::vector<uint64_t>& seeds, bool trace, const std::function<void(const Outcome&)>& tell);

inline constexpr const char* kPlay = "--play";
// The other side: seeds from stdin, outcomes to descriptor 3.
[[noreturn]] void playSeeds(bool trace);

}  // namespace km::testing
