#include "testing/faults.h"

#include <fmt/format.h>

#include "api/types/core_v1.h"
#include "testing/trace.h"

namespace km::testing {

using namespace std::chrono_literals;

Weather Weather::draw() {
  Weather w;
  auto some = [](uint64_t n) { return testing::draw(n) == 0; };
  if (!some(4)) w.threads.changeOneIn = std::array{10u, 50u, 200u}[testing::draw(3)];
  w.settling = 3s;
  if (some(4)) return w;  // a fine day
  if (some(2)) {
    w.network.slowOneIn = 20;
    w.network.slow = 2s;
  }
  if (some(2)) w.network.loseRequestOneIn = 60;
  if (some(2)) w.network.loseAnswerOneIn = 60;
  if (some(2)) {
    w.network.lagWatchOneIn = 40;
    w.network.lag = some(3) ? 15s : 3s;
  }
  if (some(2)) w.network.breakWatchOneIn = 60;
  if (some(2)) w.network.expireWatchOneIn = 100;
  if (some(2)) {
    w.slowDiskOneIn = 30;
    w.slowDisk = 1500ms;
  }
  if (w.threads.changeOneIn != 0 && some(2)) {
    w.threads.stallOneIn = 5000;
    w.threads.stallMax = 4s;
  }
  w.restarts = some(2);
  w.fullDisk = some(4);
  w.crashes = some(3);
  w.nodesLeave = some(3);
  w.pause = some(2) ? 8s : 25s;
  w.settling = 120s;  // informers wait up to a minute after failures
  return w;
}

std::string Weather::describe() const {
  auto ms = [](Duration d) { return d / 1ms; };
  return fmt::format("change 1/{} stall 1/{} slow 1/{} lost requests 1/{} answers 1/{} lag 1/{} of {} ms, broken 1/{} expired 1/{} slow disk 1/{}{}{}{}{}", threads.changeOneIn, threads.stallOneIn,
                     network.slowOneIn, network.loseRequestOneIn, network.loseAnswerOneIn, network.lagWatchOneIn, ms(network.lag), network.breakWatchOneIn, network.expireWatchOneIn, slowDiskOneIn,
                     restarts ? ", restarts" : "", fullDisk ? ", full disk" : "", crashes ? ", crashes" : "", nodesLeave ? ", nodes leave" : "");
}

void Faults::later(Duration delay, std::function<void()> what) {
  busy_++;
  spawn(currentGroup(), "fault", [this, delay, what = std::move(what)] {
    sleepFor(delay);
    what();
    busy_--;
    wakeUp(this);
  });
}

void Faults::begin() {
  setChaos(weather_.threads);
  cluster_.network.setFaults(weather_.network);
  cluster_.disk.setSlow(weather_.slowDiskOneIn, weather_.slowDisk);
  later(Duration(0), [this] {
    while (!ended_) {
      await(this, drawDuration(weather_.pause));
      if (!ended_) step();
    }
  });
}

void Faults::end() {
  ended_ = true;
  wakeUp(this);
  awaitThat(this, [this] { return busy_ == 0; });
  cluster_.network.setFaults({});
  cluster_.disk.setSlow(0, {});
  setChaos({.changeOneIn = weather_.threads.changeOneIn});
  // A server whose disk was full does not know it: it starts again.
  for (;;) {
    cluster_.startAll();
    for (int i = 0; i < 200 && !cluster_.api.isUp() && cluster_.api.isRunning(); i++) sleepFor(100ms);
    if (cluster_.api.isUp()) break;
    sleepFor(100ms);
  }
  KM_TRACE("fault: no more");
}

void Faults::step() {
  switch (draw(12)) {
    case 0:
    case 1:
      return weather_.restarts ? restart(cluster_.managers, 1s + drawDuration(8s)) : void();
    case 2:
    case 3:
      return weather_.restarts ? restart(cluster_.scheduler, 1s + drawDuration(8s)) : void();
    case 4:
    case 5:
      return weather_.restarts ? restart(cluster_.api, drawDuration(8s)) : void();
    case 6:
      return weather_.restarts ? restartNode() : void();
    case 7:
      return weather_.fullDisk ? fillDisk() : void();
    case 8:
      return weather_.network.breakWatchOneIn != 0 ? cluster_.network.breakWatches(3) : void();
    case 9:
      if (!weather_.crashes) return;
      KM_TRACE("fault: a container ends");
      invariants_.disturbed("");
      return cluster_.nodes[draw(cluster_.nodes.size())]->runtime().crashOne();
    case 10:
      return weather_.nodesLeave ? losePower() : void();
    default:
      return weather_.nodesLeave && oneIn(2) ? deleteNode() : void();
  }
}

void Faults::restart(Process& process, Duration pause) {
  if (!process.isUp()) return;
  bool kill = oneIn(2);
  KM_TRACE("fault: {} {}, back in {} ms", kill ? "kill" : "stop", process.name(), pause / 1ms);
  if (&process == &cluster_.api && kill) {
    cluster_.killApiServer();
  } else if (kill) {
    process.kill();
  } else {
    process.stop();
  }
  invariants_.disturbed("");
  later(pause, [&process] {
    if (!process.isRunning()) process.start();
  });
}

void Faults::fillDisk() {
  if (!cluster_.api.isUp()) return;
  KM_TRACE("fault: the disk is full");
  cluster_.disk.fill();
  invariants_.disturbed("");
  later(1s + drawDuration(10s), [this] { restart(cluster_.api, drawDuration(5s)); });
}

void Faults::restartNode() { restart(*cluster_.nodes[draw(cluster_.nodes.size())], drawDuration(20s)); }

void Faults::losePower() {
  NodeProcess& node = *cluster_.nodes[draw(cluster_.nodes.size())];
  if (!node.isUp()) return;
  Duration pause = oneIn(3) ? drawDuration(7min) : drawDuration(70s);
  KM_TRACE("fault: {} loses its power for {} s", node.nodeName(), pause / 1s);
  invariants_.disturbed("");
  invariants_.nodeDisturbed(node.nodeName());
  node.kill();
  node.runtime().reboot();
  Duration until = playedTime() + pause;
  later(Duration(0), [this, &node, until] {
    while (playedTime() < until && !ended_) await(this, until - playedTime());
    if (!node.isRunning()) node.start();
  });
}

void Faults::deleteNode() {
  NodeProcess& node = *cluster_.nodes[draw(cluster_.nodes.size())];
  KM_TRACE("fault: delete node {}", node.nodeName());
  invariants_.disturbed("");
  invariants_.nodeDisturbed(node.nodeName());
  (void)cluster_.admin().remove(client::target(api::core_v1::Node::kType, "", node.nodeName())).ok();
}

}  // namespace km::testing
