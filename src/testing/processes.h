// The processes of the played cluster, wired as the commands of km wire them: API server, controller manager, scheduler, nodes. Each is a group of
// threads that can be stopped in order, or killed at any moment, and started again.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "kubelet/hollow_runtime.h"
#include "pki/certificate.h"
#include "testing/disk.h"
#include "testing/network.h"
#include "testing/threads.h"

namespace km::store {
class Store;
}
namespace km::client {
class InformerFactory;
}

namespace km::testing {

// One process, started again and again. All calls from the world's threads.
class Process {
 public:
  explicit Process(std::string name, bool mayStall) : name_(std::move(name)), mayStall_(mayStall) {}
  virtual ~Process() = default;
  const std::string& name() const { return name_; }

  void start();
  void stop();  // in order; waits for the end
  void kill();
  bool isRunning() const { return life_ != nullptr && !life_->ended; }
  // It does what it is for: all is set up. False once it has ended.
  bool isUp() const { return isRunning() && life_->up; }

 protected:
  struct Life {
    Group group = 0;
    bool up = false, asked = false, ended = false;
    void waitForStop() {
      up = true;
      wakeUp(this);
      awaitThat(this, [this] { return asked; });
    }
  };
  // The main thread of one life: sets up, calls waitForStop(), tears down.
  virtual void run(Life& life) = 0;
  virtual void killed(Group group) = 0;

 private:
  const std::string name_;
  const bool mayStall_;
  std::shared_ptr<Life> life_;
};

// Sees the store of each life of the API server, before the server does; within its group.
struct StoreHooks {
  std::function<void(store::Store&)> opened;
  std::function<void()> closing;
};

class ApiServerProcess : public Process {
 public:
  ApiServerProcess(Disk& disk, Network& network, StoreHooks hooks);

 private:
  void run(Life& life) override;
  void killed(Group group) override;
  Disk& disk_;
  Network& network_;
  StoreHooks hooks_;
  std::optional<pki::KeyPair> serving_;
};

// A process that works on informers of its own.
class InformedProcess : public Process {
 public:
  // Of the present life; null if it is not up.
  client::InformerFactory* informers() const { return isUp() ? informers_ : nullptr; }

 protected:
  InformedProcess(std::string name, Network& network) : Process(std::move(name), true), network_(network) {}
  Network& network_;
  client::InformerFactory* informers_ = nullptr;

 private:
  void killed(Group group) override { network_.processKilled(group); }
};

class ManagerProcess : public InformedProcess {
 public:
  explicit ManagerProcess(Network& network) : InformedProcess("controllers", network) {}

 private:
  void run(Life& life) override;
};

class SchedulerProcess : public InformedProcess {
 public:
  explicit SchedulerProcess(Network& network) : InformedProcess("scheduler", network) {}

 private:
  void run(Life& life) override;
};

// A container runtime that takes time, has no images called "bad...", and whose containers may be ended. It outlives its kubelet.
class PlayedRuntime : public kubelet::HollowRuntime {
 public:
  explicit PlayedRuntime(uint32_t node) : HollowRuntime(Clock::system(), node) {}
  Status startContainer(const std::string& id) override;
  Result<cri::Image> imageStatus(const std::string& image) override;
  Result<std::string> pullImage(const std::string& image, const cri::AuthConfig* auth, const cri::PodSandboxConfig& sandbox) override;
  // Ends one running container, if there is any.
  void crashOne();
  // Whether a container of the pod runs.
  bool runs(std::string_view podUid);
  // Everything ends, as when the machine loses its power.
  void reboot();
};

class NodeProcess : public Process {
 public:
  NodeProcess(Network& network, int number);
  PlayedRuntime& runtime() { return *runtime_; }
  const std::string& nodeName() const { return name(); }

 private:
  void run(Life& life) override;
  void killed(Group group) override { network_.processKilled(group); }
  Network& network_;
  const int number_;
  std::unique_ptr<PlayedRuntime> runtime_;
};

}  // namespace km::testing
