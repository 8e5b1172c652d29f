// PodWorker: one pod's life on this node, one step at a time. Woken by changes of the pod, events of the
// runtime, and its own timers; each step looks at what there is, does what is due, and writes the status if
// it changed.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "kubelet/backoff.h"
#include "kubelet/node_context.h"
#include "kubelet/status.h"

namespace km::kubelet {

class PodWorker : public std::enable_shared_from_this<PodWorker> {
 public:
  PodWorker(NodeContext& node, std::string uid);

  // From any thread; each wakes the worker.
  void setPod(PodPtr pod);
  bool isRemoved() const {  // from the API; what still runs is being ended
    std::lock_guard lock(mutex_);
    return removed_;
  }
  void podRemoved();                         // from the API
  void setRuntime(RuntimePod runtime);       // all that the runtime has of the pod
  void runtimeEvent(const std::string& id);  // look at this container or sandbox
  void wake();
  // No new steps; the one in progress ends on the pool. Containers are left as they are.
  void stop();

  // What was last known; null before the first pod. Any thread.
  PodPtr pod() const;
  v1::PodStatus status() const;
  // "" if there is none. The newest container of that name, or the one before.
  std::string containerId(std::string_view name, bool previous) const;
  std::string sandboxId() const;
  bool isRunning(std::string_view id) const;
  bool hasTty(std::string_view name) const;
  struct Log {
    std::string id, path;
  };
  // Where the container logs. An error is worded for the user.
  Result<Log> logOf(std::string_view name, bool previous) const;

 private:
  static constexpr Duration kRetry = std::chrono::seconds(1);
  struct Kill {
    Duration deadline;
  };
  void schedule();
  void run();
  void step();
  void publish();
  bool refresh(const std::string& id);
  void lookAgain(const std::string& id);
  void readTerminationMessages();
  bool admitted();
  bool overLimit();
  void syncRunning();
  void syncEnding();
  bool applyActions(const PodActions& actions);
  bool makeSandbox(uint32_t attempt);
  bool setUp();
  bool startContainer(const ContainerToStart& what);
  bool inBackoff(const v1::Container& c);
  Result<cri::Image> ensureImage(const v1::Container& c, WaitingReason* why);
  Result<cri::Image> pull(const v1::Container& c, WaitingReason* why);
  Status create(const v1::Container& c, ContainerKind kind, const cri::Image& image, WaitingReason* why);
  void dropOldContainers(const std::string& name);
  void killPod(std::optional<int64_t> grace);
  void kill(const ContainerRecord& r, const std::string& message, int64_t grace);
  bool stopSandboxes();
  bool settled() const;  // nothing runs and nothing is being killed
  void writeStatus(bool terminal, bool gone);
  void write(const std::function<v1::PodStatus()>& make);
  void finish();
  void removeFromRuntime();
  void wakeAt(Duration monotonic);
  void event(std::string_view type, std::string_view reason, std::string_view message,
             std::string_view container = "");
  DownwardContext downward() const;
  ProbeView probeView() const;
  std::optional<Duration> deadline() const;  // wall clock of the end, as monotonic

  NodeContext& node_;
  const std::string uid_;

  // News; guarded.
  mutable std::mutex mutex_;
  PodPtr latest_;
  bool removed_ = false, stopped_ = false, running_ = false, again_ = false;
  std::set<std::string> news_;
  std::map<std::string, Duration>
      looks_;  // of the step: containers that are said to have ended, and the next wait
  std::optional<RuntimePod> relisted_;
  client::Timers::Id timer_ = 0;
  Duration timerAt_{0};
  v1::PodStatus shown_;
  RuntimePod view_;  // copy for readers

  // Of the step in progress.
  PodPtr pod_;
  bool gone_ = false;  // removed from the API
  RuntimePod runtime_;
  VolumePaths volumes_;
  std::map<std::string, WaitingReason> waiting_;
  std::map<std::string, Kill> kills_;
  std::mutex killsMutex_;
  Backoff backoff_, pullBackoff_;
  std::map<std::string, WaitingReason> pullErrors_;
  std::map<std::string, Duration> pullFailed_;
  WallTime startTime_;
  std::optional<Duration> endingSince_;
  Duration nextUsage_{0};  // when volumes with a limit are measured again
  std::string endReason_, endMessage_;
  std::optional<Duration> writtenAt_;  // the status, if the latest write did well
  bool ended_ = false;    // reached Succeeded or Failed, cleaned up
  bool deleted_ = false;  // the API was told that nothing is left
  int failures_ = 0;
};

}  // namespace km::kubelet
