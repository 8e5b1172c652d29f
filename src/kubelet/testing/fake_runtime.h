// FakeRuntime: the runtime in memory of hollow nodes, for tests: it writes down what it is asked, and a test says what images it has and when
// containers end.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "kubelet/hollow_runtime.h"

namespace km::kubelet {

class FakeRuntime : public HollowRuntime {
 public:
  explicit FakeRuntime(Clock& clock) : HollowRuntime(clock, 0) {}

  // --- for tests ---
  void addImage(const std::string& name);
  // Ends the running container of that name, as its process would, and tells the subscriber.
  void exitContainer(std::string_view name, int code);
  std::vector<std::string> calls() const;  // "run a", "create c", "start c", "stop c", ... in order
  std::vector<cri::ContainerConfig> created() const;
  int runningCount();
  void setExecExit(int code);
  void setIp(std::string ip) { ip_ = std::move(ip); }

  // --- cri::Runtime ---
  Result<std::string> runPodSandbox(const cri::PodSandboxConfig& config, const std::string& handler) override;
  Status stopPodSandbox(const std::string& id) override;
  Status removePodSandbox(const std::string& id) override;
  Result<cri::PodSandboxStatus> podSandboxStatus(const std::string& id) override;
  Result<std::string> createContainer(const std::string& sandbox, const cri::ContainerConfig& config, const cri::PodSandboxConfig& box) override;
  Status startContainer(const std::string& id) override;
  Status stopContainer(const std::string& id, int64_t graceSeconds) override;
  Status removeContainer(const std::string& id) override;
  Result<cri::ContainerStatus> containerStatus(const std::string& id) override;
  Result<cri::ExecSyncResponse> execSync(const std::string& id, const std::vector<std::string>& command, int64_t timeoutSeconds) override;
  Result<std::string> exec(const cri::ExecRequest&) override { return std::string("http://127.0.0.1:1/exec"); }
  Result<std::string> attach(const cri::AttachRequest&) override { return std::string("http://127.0.0.1:1/attach"); }
  Result<std::string> portForward(const cri::PortForwardRequest&) override { return std::string("http://127.0.0.1:1/portforward"); }
  Result<std::vector<cri::Image>> listImages() override;
  Result<cri::Image> imageStatus(const std::string& image) override;
  Result<std::string> pullImage(const std::string& image, const cri::AuthConfig* auth, const cri::PodSandboxConfig& sandbox) override;

 protected:
  // What is made later is younger, though the clock of a test stands still.
  int64_t now() const override { return HollowRuntime::now() + made_; }

 private:
  void log(std::string line);
  std::string nameOf(const std::string& container) const;

  mutable std::mutex notes_;
  std::map<std::string, std::string> boxNames_;
  std::map<std::string, cri::ContainerConfig> configs_;
  std::map<std::string, cri::Image> images_;
  std::vector<std::string> calls_;
  std::string ip_ = "10.0.0.5";
  std::atomic<int> made_ = 1;
  int execExit_ = 0;
};

}  // namespace km::kubelet
