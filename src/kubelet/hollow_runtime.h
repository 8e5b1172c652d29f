// HollowRuntime: a container runtime in memory, for nodes that only pretend. Containers "run" at once and until they are stopped; every image is
// there; nothing can be executed. One for each node.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "cri/runtime.h"

namespace km::kubelet {

class HollowRuntime : public cri::Runtime {
 public:
  // `node`, below 2^16, tells the addresses of its pods from those of other nodes: 10.128.0.0/9 has up to 128 for each.
  HollowRuntime(Clock& clock, uint32_t node) : clock_(clock), node_(node) {}

  Result<cri::VersionResponse> version() override;
  Result<cri::StatusResponse> status() override;
  Result<std::string> runPodSandbox(const cri::PodSandboxConfig& config, const std::string& handler) override;
  Status stopPodSandbox(const std::string& id) override;
  Status removePodSandbox(const std::string& id) override;
  Result<cri::PodSandboxStatus> podSandboxStatus(const std::string& id) override;
  Result<std::vector<cri::PodSandbox>> listPodSandbox() override;
  Result<std::string> createContainer(const std::string& sandbox, const cri::ContainerConfig& config, const cri::PodSandboxConfig&) override;
  Status startContainer(const std::string& id) override;
  Status stopContainer(const std::string& id, int64_t graceSeconds) override;
  Status removeContainer(const std::string& id) override;
  Result<cri::ContainerStatus> containerStatus(const std::string& id) override;
  Result<std::vector<cri::Container>> listContainers() override;
  Result<cri::ExecSyncResponse> execSync(const std::string&, const std::vector<std::string>&, int64_t) override;
  Result<std::string> exec(const cri::ExecRequest&) override;
  Result<std::string> attach(const cri::AttachRequest&) override;
  Result<std::string> portForward(const cri::PortForwardRequest&) override;
  Status reopenLog(const std::string&) override { return {}; }
  Result<std::vector<cri::Image>> listImages() override { return std::vector<cri::Image>(); }
  Result<cri::Image> imageStatus(const std::string& image) override;
  Result<std::string> pullImage(const std::string& image, const cri::AuthConfig* auth, const cri::PodSandboxConfig& sandbox) override;
  Status removeImage(const std::string&) override { return {}; }
  std::unique_ptr<Subscription> subscribe(std::function<void(std::string id)> onEvent, std::function<void()> onGap) override;
  void close(Duration) override {}

 protected:
  // Nanoseconds, as CRI counts them.
  virtual int64_t now() const;
  // The container's process ends if it runs; the subscriber is not told yet.
  Status end(const std::string& id, int code, std::string_view reason, bool* ran = nullptr);
  void tell(const std::string& id);

 private:
  struct Box {
    cri::PodSandboxStatus status;
  };
  // Only what is asked for again is kept.
  struct Run {
    std::string sandbox;
    cri::ContainerStatus status;
  };
  std::string newId();
  std::string newAddress();

  Clock& clock_;
  const uint32_t node_;
  std::mutex mutex_;
  uint32_t next_ = 0, nextAddress_ = 1;
  std::map<std::string, Box> boxes_;
  std::map<std::string, Run> runs_;
  std::function<void(std::string)> onEvent_;
};

}  // namespace km::kubelet
