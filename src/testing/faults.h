// Faults: what goes wrong in a run, as its seed has it.
#pragma once

#include <string>

#include "testing/cluster.h"
#include "testing/invariants.h"

namespace km::testing {

// How a run is. Drawn once.
struct Weather {
  Chaos threads;
  NetworkFaults network;
  uint32_t slowDiskOneIn = 0;
  Duration slowDisk{0};
  Duration pause = std::chrono::seconds(20);  // between events, at most
  bool restarts = false, fullDisk = false, crashes = false, nodesLeave = false;
  Duration settling;                           // see Invariants

  static Weather draw();
  std::string describe() const;
};

class Faults {
 public:
  Faults(Cluster& cluster, Invariants& invariants, const Weather& weather) : cluster_(cluster), invariants_(invariants), weather_(weather) {}
  void begin();
  // Nothing goes wrong any more, and everything runs again.
  void end();

 private:
  void step();
  void restart(Process& process, Duration pause);
  void fillDisk();
  void restartNode();
  void losePower();
  void deleteNode();
  void later(Duration delay, std::function<void()> what);

  Cluster& cluster_;
  Invariants& invariants_;
  const Weather weather_;
  bool ended_ = false;
  int busy_ = 0;
};

}  // namespace km::testing
