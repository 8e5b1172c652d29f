// Runtime: the container runtime of a node, over CRI v1. Calls block; make them on a worker, never on a loop. Errors carry gRPC's
// code as HTTP status (404 NotFound, ...) and the runtime's words.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/types/cri_runtime_v1.h"
#include "base/clock.h"
#include "base/result.h"

namespace km::async {
class Loop;
}

namespace km::cri {

using namespace api::cri_runtime_v1;

class Runtime {
 public:
  virtual ~Runtime() = default;

  virtual Result<VersionResponse> version() = 0;
  virtual Result<StatusResponse> status() = 0;
  // "cgroupfs" or "systemd", of runtimes that tell; an error of those that do not.
  virtual Result<std::string> cgroupDriver() { return errors::failed("the runtime does not tell its cgroup driver"); }

  virtual Result<std::string> runPodSandbox(const PodSandboxConfig& config, const std::string& handler) = 0;
  virtual Status stopPodSandbox(const std::string& id) = 0;
  virtual Status removePodSandbox(const std::string& id) = 0;
  virtual Result<PodSandboxStatus> podSandboxStatus(const std::string& id) = 0;
  virtual Result<std::vector<PodSandbox>> listPodSandbox() = 0;

  virtual Result<std::string> createContainer(const std::string& sandbox, const ContainerConfig& config, const PodSandboxConfig& sandboxConfig) = 0;
  virtual Status startContainer(const std::string& id) = 0;
  // SIGTERM, then SIGKILL after the grace period; returns once the container is gone.
  virtual Status stopContainer(const std::string& id, int64_t graceSeconds) = 0;
  virtual Status removeContainer(const std::string& id) = 0;
  virtual Result<ContainerStatus> containerStatus(const std::string& id) = 0;
  virtual Result<std::vector<Container>> listContainers() = 0;
  virtual Result<ExecSyncResponse> execSync(const std::string& id, const std::vector<std::string>& command, int64_t timeoutSeconds) = 0;

  // URLs of the runtime's streaming server, for one use.
  virtual Result<std::string> exec(const ExecRequest& request) = 0;
  virtual Result<std::string> attach(const AttachRequest& request) = 0;
  virtual Result<std::string> portForward(const PortForwardRequest& request) = 0;
  virtual Status reopenLog(const std::string& id) = 0;

  virtual Result<std::vector<Image>> listImages() = 0;
  // Null-like (empty id) if the image is absent.
  virtual Result<Image> imageStatus(const std::string& image) = 0;
  virtual Result<std::string> pullImage(const std::string& image, const AuthConfig* auth, const PodSandboxConfig& sandbox) = 0;
  virtual Status removeImage(const std::string& image) = 0;

  // Calls `onEvent` with the id of each container or sandbox whose task ended, on a transport thread, until the returned
  // object is destroyed. The runtime's own status may follow a moment later, so who still finds it running looks again. `onGap` after each (re)connection: events may have been missed, so look at everything.
  class Subscription {
   public:
    virtual ~Subscription() = default;
  };
  virtual std::unique_ptr<Subscription> subscribe(std::function<void(std::string id)> onEvent, std::function<void()> onGap) = 0;

  // Refuses new calls. Those that wait for a container, a pull or a command end with an error at once; the short ones have `grace` to
  // come to their end, so that nothing is left half made. From any thread; blocks no longer than `grace`.
  virtual void close(Duration grace) = 0;
};

// Speaks to the socket ("/run/containerd/containerd.sock", or with "unix://" before it). The loop must outlive the runtime.
std::unique_ptr<Runtime> connectRuntime(async::Loop& loop, const std::string& socket);

}  // namespace km::cri
