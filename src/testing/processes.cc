#include "testing/processes.h"

#include <fmt/format.h>

#include "apiserver/server.h"
#include "base/log.h"
#include "client/events.h"
#include "client/informer.h"
#include "controllers/controller_manager.h"
#include "kubelet/kubelet.h"
#include "scheduler/scheduler.h"
#include "store/compactor.h"
#include "store/mvcc.h"

namespace km::testing {
namespace {

authn::UserInfo accountOf(std::string_view account) {
  return {.name = "system:serviceaccount:kube-system:" + std::string(account), .groups = {"system:serviceaccounts", "system:serviceaccounts:kube-system"}};
}

}  // namespace

void Process::start() {
  life_ = std::make_shared<Life>();
  life_->group = newGroup(name_, mayStall_);
  spawn(life_->group, "main", [this, life = life_] {
    run(*life);
    life->up = false;
    life->ended = true;
    wakeUp(life.get());
  });
}

void Process::stop() {
  auto life = life_;
  if (!life) return;
  life->asked = true;
  wakeUp(life.get());
  awaitThat(life.get(), [&] { return life->ended; });
}

void Process::kill() {
  if (!isRunning()) return;
  testing::kill(life_->group);
  life_->ended = true;
  new std::shared_ptr<Life>(life_);
  killed(life_->group);
  wakeUp(life_.get());
}

// --- API server -----------------------------------------------------------------------------------------

ApiServerProcess::ApiServerProcess(Disk& disk, Network& network, StoreHooks hooks)
    : Process("apiserver", false), disk_(disk), network_(network), hooks_(std::move(hooks)) {
  pki::CertificateSpec spec;
  spec.commonName = "kube-apiserver";
  spec.server = true;
  spec.notBefore = Clock::system().now();
  spec.notAfter = {spec.notBefore.seconds + 100'000'000, 0};
  auto key = pki::Key::generate();
  KM_CHECK(key.ok());
  auto certificate = pki::selfSigned(spec, *key);
  KM_CHECK(certificate.ok());
  serving_ = {*certificate, *key};
}

void ApiServerProcess::killed(Group) { network_.serverKilled(); }

void ApiServerProcess::run(Life& life) {
  auto opened = store::MvccStore::open(disk_.open(), Clock::system());
  KM_CHECK(opened.ok());
  auto store = std::move(*opened);
  hooks_.opened(*store);
  auto loops = std::make_unique<async::LoopGroup>(2, "km-io");
  auto pool = std::make_unique<client::WorkerPool>(4, "km-work");
  apiserver::ServerOptions o;
  o.requestTimeout = std::chrono::seconds(10);  // so an end takes no longer
  o.securePort = 0;
  o.tls.certificatePem = serving_->certificate.pem();
  o.tls.keyPem = serving_->key.privatePem();
  o.serviceAccountKeys.push_back(serving_->key);
  o.enableAdmissionPlugins = {"NodeRestriction"};
  auto api = std::make_shared<apiserver::ApiServer>(std::move(o), *store, *loops, *pool, Clock::system());
  Status started = api->start();
  std::shared_ptr<void> served;
  store::Compactor compactor(store::Compactor::kInterval);
  if (started.ok()) {
    network_.serve([api = api.get()](const authn::UserInfo& user, const std::string& agent) { return api->localClient(user, agent); });
    life.up = true;
    wakeUp(&life);
    while (!life.asked) {
      if (await(&life, store::Compactor::kInterval)) continue;
      auto now = store->currentRevision();
      if (!now.ok()) continue;
      if (auto target = compactor.at(Clock::system().monotonic(), *now)) store->compact(*target, [](Status) {});
    }
    served = network_.stopServing();
  }
  hooks_.closing();
  api->stop();
  pool->stop();
  api.reset();
  loops->stop();
  store.reset();
}

// --- controllers, scheduler -----------------------------------------------------------------------------

void ManagerProcess::run(Life& life) {
  auto connection = network_.process(name());
  client::Timers timers;
  client::WorkerPool pool(6, "km-manage");
  auto client = connection->client({.name = "system:kube-controller-manager", .groups = {}}, "kube-controller-manager");
  client::InformerFactory informers(*client, pool, timers);
  controllers::Options o;
  o.clusterCidr = "10.244.0.0/16";
  o.allocateNodeCidrs = true;
  o.serviceClusterIpRange = "10.96.0.0/16";
  o.rootCa = "-----BEGIN CERTIFICATE-----";
  o.accountClient = [&](std::string_view account) -> Result<std::unique_ptr<client::Client>> {
    return connection->client(accountOf(account), "kube-controller-manager");
  };
  {
    controllers::ControllerManager manager(*client, informers, pool, timers, o);
    auto rows = controllers::selectControllers({"*"});
    KM_CHECK(rows.ok());
    KM_CHECK(manager.start(*rows).ok());
    informers.start();
    informers_ = &informers;
    life.waitForStop();
    manager.stop();
  }
  informers.stop();
  timers.stop();
  pool.stop();
}

void SchedulerProcess::run(Life& life) {
  auto connection = network_.process(name());
  client::Timers timers;
  client::WorkerPool pool(3, "km-schedule");
  auto client = connection->client({.name = "system:kube-scheduler", .groups = {}}, "kube-scheduler");
  client::InformerFactory informers(*client, pool, timers);
  {
    scheduler::Scheduler scheduler(*client, informers, pool, timers, "played");
    scheduler.start();
    informers.start();
    informers_ = &informers;
    life.waitForStop();
    scheduler.stop();
  }
  informers.stop();
  timers.stop();
  pool.stop();
}

// --- nodes ----------------------------------------------------------------------------------------------

Status PlayedRuntime::startContainer(const std::string& id) {
  sleepFor(std::chrono::milliseconds(20) + drawDuration(oneIn(8) ? std::chrono::seconds(4) : std::chrono::milliseconds(300)));
  return HollowRuntime::startContainer(id);
}

Result<cri::Image> PlayedRuntime::imageStatus(const std::string& image) {
  if (image.find("bad") != std::string::npos) return cri::Image();
  return HollowRuntime::imageStatus(image);
}

Result<std::string> PlayedRuntime::pullImage(const std::string& image, const cri::AuthConfig* auth, const cri::PodSandboxConfig& sandbox) {
  sleepFor(drawDuration(std::chrono::milliseconds(500)));
  if (image.find("bad") != std::string::npos) return Status(404, "NotFound", "failed to pull image: not found");
  return HollowRuntime::pullImage(image, auth, sandbox);
}

void PlayedRuntime::crashOne() {
  auto all = listContainers();
  if (!all.ok()) return;
  std::vector<std::string> running;
  for (const auto& c : *all) {
    if (c.state == cri::ContainerState::kCONTAINER_RUNNING) running.push_back(c.id.str());
  }
  if (running.empty()) return;
  std::string id = running[draw(running.size())];
  if (end(id, 1, "Error").ok()) tell(id);
}

bool PlayedRuntime::runs(std::string_view podUid) {
  auto all = listContainers();
  if (!all.ok()) return false;
  for (const auto& c : *all) {
    if (c.state == cri::ContainerState::kCONTAINER_RUNNING && c.labels.get("io.kubernetes.pod.uid") == podUid) return true;
  }
  return false;
}

void PlayedRuntime::reboot() {
  auto all = listContainers();
  if (!all.ok()) return;
  for (const auto& c : *all) (void)end(c.id.str(), 137, "Error").ok();
  auto boxes = listPodSandbox();
  for (const auto& b : *boxes) (void)stopPodSandbox(b.id.str()).ok();
}

NodeProcess::NodeProcess(Network& network, int number)
    : Process(fmt::format("node-{}", number), true), network_(network), number_(number), runtime_(std::make_unique<PlayedRuntime>(static_cast<uint32_t>(number))) {}

void NodeProcess::run(Life& life) {
  auto connection = network_.process(name());
  client::Timers timers;
  client::WorkerPool pool(2, "km-node");
  async::LoopGroup loops(1, "km-node-io");
  auto client = connection->client({.name = "system:node:" + name(), .groups = {"system:nodes"}}, "kubelet");
  client::EventBroadcaster events(*client, pool, timers);
  kubelet::Options o;
  o.hollow.emplace();
  o.hollow->cpus = 4;
  o.hollow->memory = int64_t{8} << 30;
  o.podCgroups = false;
  o.port = -1;
  o.rootDir = o.podLogsDir = "/nowhere";
  o.containerLogsDir.clear();
  o.maxPods = 12;
  o.nodeName = name();
  o.nodeIp = fmt::format("192.168.0.{}", number_);
  {
    kubelet::Kubelet kubelet(o, *client, pool, timers, loops.at(0), *runtime_, events.recorder("kubelet", name()));
    KM_CHECK(kubelet.start().ok());
    life.waitForStop();
    kubelet.stop();
  }
  events.stop();
  timers.stop();
  pool.stop();
  loops.stop();
}

}  // namespace km::testing
