#include "kubelet/testing/fake_runtime.h"

namespace km::kubelet {

using namespace cri;

void FakeRuntime::log(std::string line) {
  std::lock_guard lock(notes_);
  calls_.push_back(std::move(line));
}

std::string FakeRuntime::nameOf(const std::string& container) const {
  std::lock_guard lock(notes_);
  auto it = configs_.find(container);
  return it == configs_.end() ? "" : it->second.metadata->name.str();
}

void FakeRuntime::addImage(const std::string& name) {
  std::lock_guard lock(notes_);
  Image& i = images_[name];
  i.id = "sha256:" + name;
  i.repoTags.push_back(name);
}

void FakeRuntime::exitContainer(std::string_view name, int code) {
  auto running = listContainers();
  for (const Container& c : *running) {
    if (c.state != ContainerState::kCONTAINER_RUNNING || nameOf(c.id.str()) != name) continue;
    (void)end(c.id.str(), code, code == 0 ? "Completed" : "Error");
    tell(c.id.str());
  }
}

std::vector<std::string> FakeRuntime::calls() const {
  std::lock_guard lock(notes_);
  return calls_;
}

std::vector<ContainerConfig> FakeRuntime::created() const {
  std::lock_guard lock(notes_);
  std::vector<ContainerConfig> out;
  for (const auto& [id, config] : configs_) out.push_back(config);
  return out;
}

int FakeRuntime::runningCount() {
  int n = 0;
  auto all = listContainers();
  for (const Container& c : *all) n += c.state == ContainerState::kCONTAINER_RUNNING;
  return n;
}

void FakeRuntime::setExecExit(int code) {
  std::lock_guard lock(notes_);
  execExit_ = code;
}

Result<std::string> FakeRuntime::runPodSandbox(const PodSandboxConfig& config, const std::string& handler) {
  made_++;
  KM_ASSIGN(std::string id, HollowRuntime::runPodSandbox(config, handler));
  std::string name = config.metadata->name.str();
  log("run " + name);
  std::lock_guard lock(notes_);
  boxNames_[id] = name;
  return id;
}

Status FakeRuntime::stopPodSandbox(const std::string& id) {
  KM_TRY(HollowRuntime::stopPodSandbox(id));
  std::string name;
  {
    std::lock_guard lock(notes_);
    name = boxNames_[id];
  }
  log("stop-sandbox " + name);
  return {};
}

Status FakeRuntime::removePodSandbox(const std::string& id) {
  log("remove-sandbox");
  return HollowRuntime::removePodSandbox(id);
}

Result<PodSandboxStatus> FakeRuntime::podSandboxStatus(const std::string& id) {
  KM_ASSIGN(PodSandboxStatus s, HollowRuntime::podSandboxStatus(id));
  s.network->ip = ip_;
  return s;
}

Result<std::string> FakeRuntime::createContainer(const std::string& sandbox, const ContainerConfig& config, const PodSandboxConfig& box) {
  made_++;
  KM_ASSIGN(std::string id, HollowRuntime::createContainer(sandbox, config, box));
  log("create " + config.metadata->name.str());
  std::lock_guard lock(notes_);
  configs_[id] = config;
  return id;
}

Status FakeRuntime::startContainer(const std::string& id) {
  KM_TRY(HollowRuntime::startContainer(id));
  log("start " + nameOf(id));
  return {};
}

Status FakeRuntime::stopContainer(const std::string& id, int64_t graceSeconds) {
  KM_TRY(HollowRuntime::containerStatus(id).status());
  log("stop " + nameOf(id) + " " + std::to_string(graceSeconds));
  KM_TRY(end(id, 143, "Error"));
  tell(id);
  return {};
}

Status FakeRuntime::removeContainer(const std::string& id) {
  KM_TRY(HollowRuntime::removeContainer(id));
  std::lock_guard lock(notes_);
  configs_.erase(id);
  return {};
}

Result<ContainerStatus> FakeRuntime::containerStatus(const std::string& id) {
  KM_ASSIGN(ContainerStatus s, HollowRuntime::containerStatus(id));
  std::lock_guard lock(notes_);
  auto it = configs_.find(id);
  if (it != configs_.end()) s.mounts = it->second.mounts;
  return s;
}

Result<ExecSyncResponse> FakeRuntime::execSync(const std::string&, const std::vector<std::string>&, int64_t) {
  std::lock_guard lock(notes_);
  ExecSyncResponse r;
  r.exitCode = execExit_;
  return r;
}

Result<std::vector<Image>> FakeRuntime::listImages() {
  std::lock_guard lock(notes_);
  std::vector<Image> out;
  for (const auto& [name, i] : images_) out.push_back(i);
  return out;
}

Result<Image> FakeRuntime::imageStatus(const std::string& image) {
  std::lock_guard lock(notes_);
  auto it = images_.find(image);
  return it == images_.end() ? Image() : it->second;
}

Result<std::string> FakeRuntime::pullImage(const std::string& image, const AuthConfig*, const PodSandboxConfig&) {
  log("pull " + image);
  return Status(404, "NotFound", "no registry in tests");
}

}  // namespace km::kubelet
