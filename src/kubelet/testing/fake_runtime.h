// FakeRuntime: a container runtime in memory, for tests. Containers run until a test ends them or they are stopped.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "cri/runtime.h"

namespace km::kubelet {

class FakeRuntime : public cri::Runtime {
 public:
  explicit FakeRuntime(Clock& clock) : clock_(clock) {}

  // --- for tests ---
  void addImage(const std::string& name);
  // Ends the running container of that name, as its process would, and tells the subscriber.
  void exitContainer(std::string_view name, int code);
  std::vector<std::string> calls() const;  // "run a", "create c", "start c", "stop c", ... in order
  std::vector<cri::ContainerConfig> created() const;
  int runningCount() const;
  void setExecExit(int code);
  void setIp(std::string ip) { ip_ = std::move(ip); }

  // --- cri::Runtime ---
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
  Result<cri::ExecSyncResponse> execSync(const std::string& id, const std::vector<std::string>& command, int64_t timeoutSeconds) override;
  Result<std::string> exec(const cri::ExecRequest&) override { return std::string("http://127.0.0.1:1/exec"); }
  Result<std::string> attach(const cri::AttachRequest&) override { return std::string("http://127.0.0.1:1/attach"); }
  Result<std::string> portForward(const cri::PortForwardRequest&) override { return std::string("http://127.0.0.1:1/portforward"); }
  Status reopenLog(const std::string&) override { return {}; }
  Result<std::vector<cri::Image>> listImages() override;
  Result<cri::Image> imageStatus(const std::string& image) override;
  Result<std::string> pullImage(const std::string& image, const cri::AuthConfig* auth, const cri::PodSandboxConfig& sandbox) override;
  Status removeImage(const std::string&) override { return {}; }
  std::unique_ptr<Subscription> subscribe(std::function<void(std::string id)> onEvent, std::function<void()> onGap) override;
  void close(Duration) override {}

 private:
  struct Box {
    cri::PodSandboxConfig config;
    int32_t state = 0;
    int64_t createdAt = 0;
  };
  struct Run {
    std::string sandbox;
    cri::ContainerConfig config;
    cri::ContainerStatus status;
  };
  void log(std::string line) { calls_.push_back(std::move(line)); }
  void tell(const std::string& id);
  int64_t now() const;

  Clock& clock_;
  mutable std::mutex mutex_;
  std::map<std::string, Box> boxes_;
  std::map<std::string, Run> runs_;
  std::map<std::string, cri::Image> images_;
  std::vector<std::string> calls_;
  std::function<void(std::string)> onEvent_;
  std::string ip_ = "10.0.0.5";
  int next_ = 1, execExit_ = 0;
};

}  // namespace km::kubelet
