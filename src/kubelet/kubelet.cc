#include "kubelet/kubelet.h"

#include <filesystem>
#include <map>
#include <mutex>
#include <set>

#include "base/files.h"
#include "base/log.h"
#include "client/informer.h"
#include "kubelet/cgroups.h"
#include "kubelet/elastic_pool.h"
#include "kubelet/node_reporter.h"
#include "kubelet/object_cache.h"
#include "kubelet/pod_worker.h"
#include "kubelet/probes.h"
#include "kubelet/server.h"

namespace km::kubelet {
namespace {
constexpr auto kRelist = std::chrono::seconds(90);  // the safety net under the runtime's events
constexpr auto kStopGrace = std::chrono::milliseconds(500);
}  // namespace

struct Kubelet::Core : std::enable_shared_from_this<Kubelet::Core> {
  Core(Options o, client::Client& c, client::WorkerPool& p, client::Timers& t, async::Loop& l,
       cri::Runtime& r, client::EventRecorder rec, SharedParts shared)
      : client(c),
        workers(p),
        timers(t),
        loop(l),
        runtime(r),
        recorder(std::move(rec)),
        ownPool(shared.pool ? nullptr : std::make_unique<ElasticPool>()),
        pool(shared.pool ? *shared.pool : *ownPool),
        services(shared.services) {
    node.options = std::move(o);
  }

  Status start();
  Status serve();
  void stop();
  std::vector<std::shared_ptr<PodWorker>> allWorkers();
  std::vector<PodPtr> allPods();
  void watchPods();
  void onPod(const api::ObjectPtr& o);
  void onPodGone(const api::ObjectPtr& o);
  std::shared_ptr<PodWorker> worker(const std::string& uid, bool make);
  void relist();
  void relistLater();
  void ownership(const std::string& id, const std::string& uid);
  void runtimeEvent(const std::string& id);
  void removeOrphans();
  std::optional<Rejection> admit(const v1::Pod& pod);

  client::Client& client;
  client::WorkerPool& workers;
  client::Timers& timers;
  async::Loop& loop;
  cri::Runtime& runtime;
  client::EventRecorder recorder;
  Machine machine;
  std::unique_ptr<ElasticPool> ownPool;
  ElasticPool& pool;
  NodeContext node;
  std::unique_ptr<ObjectCache> objects;
  std::unique_ptr<Tokens> tokens;
  std::unique_ptr<ProbeManager> probes;
  std::unique_ptr<NodeReporter> reporter;
  std::unique_ptr<client::SharedInformer> pods, ownServices;
  client::SharedInformer* services;
  std::unique_ptr<client::Registration> podHandler;
  std::unique_ptr<cri::Runtime::Subscription> events;
  std::shared_ptr<KubeletServer> server;
  int port = 0;

  std::mutex mutex;
  bool stopped = false, synced = false, relisting = false, relistAgain = false;
  std::map<std::string, std::shared_ptr<PodWorker>> byUid;
  std::map<std::string, std::string> owners;  // container or sandbox -> uid
  client::Timers::Id relistTimer = 0;
  std::mutex admitMutex;           // one pod is looked at at a time
  std::set<std::string> admitted;  // uids; with the admitMutex
};

Status Kubelet::Core::start() {
  const Options& o = node.options;
  if (!o.hollow) {
    for (const char* sub : {"", "/pods", "/seccomp"}) KM_TRY(makeDirs(o.rootDir + sub, 0750));
    KM_TRY(makeDirs(o.podLogsDir, 0755));
  }
  machine = readMachine(o);
  KM_TRY(runtime.version().status());
  if (o.podCgroups) KM_TRY(ensureNodeCgroups(o));

  node.client = &client;
  node.runtime = &runtime;
  node.pool = &pool;
  node.timers = &timers;
  node.recorder = recorder;
  if (!o.nodeIp.empty()) node.hostIps = {o.nodeIp};
  node.memoryCapacity = machine.memory;
  node.allocatable = nodeStatus(o, machine, {}, {}, timers.clock().now()).allocatable;
  objects = std::make_unique<ObjectCache>(client, workers, timers, [this](const std::string& uid) {
    if (auto w = worker(uid, false)) w->wake();
  });
  tokens = std::make_unique<Tokens>(client, timers.clock());
  probes = std::make_unique<ProbeManager>(runtime, pool, timers, loop, recorder, o.hollow.has_value());
  node.objects = objects.get();
  node.tokens = tokens.get();
  node.probes = probes.get();
  node.services = [this] {
    services->waitForSync(std::chrono::seconds(30));
    Services out = client::Lister<v1::Service>(*services).list();
    return out;
  };
  node.own = [this](const std::string& id, const std::string& uid) { ownership(id, uid); };
  node.admit = [this](const v1::Pod& pod) { return admit(pod); };
  node.ended = [this](const std::string& id) {
    if (server) server->containerEnded(id);
  };
  node.done = [this](const std::string& uid) {
    std::lock_guard lock(mutex);
    byUid.erase(uid);
  };

  KM_TRY(serve());
  if (services == nullptr) {
    ownServices = std::make_unique<client::SharedInformer>(
        client, workers, timers,
        client::SharedInformer::What{client::target(v1::Service::kType).resource, "", "", ""});
    ownServices->start();
    services = ownServices.get();
  }
  reporter = std::make_unique<NodeReporter>(node.options, machine, client, runtime, pool, timers, recorder,
                                            [this] { return port; });
  reporter->start();
  events = runtime.subscribe(
      [weak = weak_from_this()](std::string id) {
        if (auto self = weak.lock()) self->runtimeEvent(id);
      },
      [weak = weak_from_this()] {
        if (auto self = weak.lock()) self->pool.post([self] { self->relist(); });
      });
  relistLater();
  watchPods();
  return {};
}

Status Kubelet::Core::serve() {
  const Options& o = node.options;
  if (o.port < 0 || o.tlsCertFile.empty()) return {};
  ServerHost host;
  host.pods = [this] { return allPods(); };
  host.worker = [this](std::string_view ns, std::string_view name) -> std::shared_ptr<PodWorker> {
    std::shared_ptr<PodWorker> found;
    for (const auto& w : allWorkers()) {
      PodPtr pod = w->pod();
      // Of two with one name the one that stays.
      if (pod && pod->metadata.namespace_ == ns && pod->metadata.name == name &&
          (!found || !pod->metadata.deletionTimestamp))
        found = w;
    }
    return found;
  };
  server = std::make_shared<KubeletServer>(o, std::move(host), client, runtime, pool, loop);
  KM_ASSIGN(port, server->start());
  return {};
}

std::vector<std::shared_ptr<PodWorker>> Kubelet::Core::allWorkers() {
  std::lock_guard lock(mutex);
  std::vector<std::shared_ptr<PodWorker>> out;
  for (const auto& [uid, w] : byUid) out.push_back(w);
  return out;
}

std::vector<PodPtr> Kubelet::Core::allPods() {
  std::vector<PodPtr> out;
  for (const auto& w : allWorkers()) {
    PodPtr pod = w->pod();
    if (!pod) continue;
    auto copy = std::make_shared<v1::Pod>(*pod);
    copy->status = w->status();
    out.push_back(std::move(copy));
  }
  return out;
}

// Workers begin when both sides are known, so that nothing is made twice.
void Kubelet::Core::watchPods() {
  client::SharedInformer::What what{client::target(v1::Pod::kType).resource, "", "",
                                    "spec.nodeName=" + node.options.nodeName};
  pods = std::make_unique<client::SharedInformer>(client, workers, timers, what);
  pods->start();
  pods->whenSynced([weak = weak_from_this()] {
    auto self = weak.lock();
    if (!self) return;
    self->pool.post([self] {
      {
        std::lock_guard lock(self->mutex);
        self->synced = true;
      }
      self->relist();
      auto handler = self->pods->addHandler(
          {[self = self.get()](const api::ObjectPtr& o, bool) { self->onPod(o); },
           [self = self.get()](const api::ObjectPtr&, const api::ObjectPtr& now) { self->onPod(now); },
           [self = self.get()](const api::ObjectPtr& last, bool) { self->onPodGone(last); }});
      std::lock_guard lock(self->mutex);
      self->podHandler = std::move(handler);
    });
  });
}

std::shared_ptr<PodWorker> Kubelet::Core::worker(const std::string& uid, bool make) {
  std::lock_guard lock(mutex);
  auto it = byUid.find(uid);
  if (it != byUid.end()) return it->second;
  if (!make || stopped) return nullptr;
  return byUid[uid] = std::make_shared<PodWorker>(node, uid);
}

void Kubelet::Core::onPod(const api::ObjectPtr& o) {
  PodPtr pod = api::share<v1::Pod>(o);
  if (auto w = worker(pod->metadata.uid.str(), true)) w->setPod(std::move(pod));
}

void Kubelet::Core::onPodGone(const api::ObjectPtr& o) {
  auto w = worker(o->meta().uid.str(), false);
  if (!w) return;
  w->setPod(api::share<v1::Pod>(o));
  w->podRemoved();
}

void Kubelet::Core::ownership(const std::string& id, const std::string& uid) {
  std::lock_guard lock(mutex);
  if (uid.empty()) {
    owners.erase(id);
  } else {
    owners[id] = uid;
  }
}

void Kubelet::Core::runtimeEvent(const std::string& id) {
  std::string uid;
  {
    std::lock_guard lock(mutex);
    auto it = owners.find(id);
    if (it == owners.end()) return;
    uid = it->second;
  }
  if (auto w = worker(uid, false)) w->runtimeEvent(id);
}

// All that the runtime has, given to the workers; what belongs to no pod is ended. Only once the pods are
// known. Pods that are looked at while they work get news of single containers, never an older whole.
void Kubelet::Core::relist() {
  {
    std::lock_guard lock(mutex);
    if (stopped || !synced) return;
    if (relisting) {
      relistAgain = true;
      return;
    }
    relisting = true;
  }
  bool again = true;
  while (again) {
    auto all = listRuntimePods(runtime);
    if (!all.ok()) KM_LOG(WARNING, "cannot list what the runtime has: {}", all.status().message());
    std::set<std::string> known;
    for (const auto& o : pods->store().list()) known.insert(o->meta().uid.str());
    if (all.ok()) {
      for (auto& [uid, pod] : *all) {
        auto w = worker(uid, false);
        bool fresh = !w;
        if (!w) w = worker(uid, true);
        if (!w) break;
        for (const auto& s : pod.sandboxes) ownership(s.id, uid);
        for (const auto& c : pod.containers) ownership(c.id, uid);
        if (fresh) {
          w->setRuntime(std::move(pod));
          if (!known.contains(uid)) w->podRemoved();
          continue;
        }
        // Those that the worker holds for running, and are not.
        for (const auto& s : pod.sandboxes) {
          if (!s.ready()) w->runtimeEvent(s.id);
        }
        for (const auto& c : pod.containers) {
          if (!c.running()) w->runtimeEvent(c.id);
        }
      }
      removeOrphans();
    }
    std::lock_guard lock(mutex);
    again = std::exchange(relistAgain, false) && !stopped;
    if (!again) relisting = false;
  }
}

// Directories of pods that are neither here nor in the API.
void Kubelet::Core::removeOrphans() {
  if (node.options.hollow) return;
  std::error_code error;
  std::set<std::string> known;
  for (const auto& o : pods->store().list()) known.insert(o->meta().uid.str());
  for (const auto& e : std::filesystem::directory_iterator(node.options.rootDir + "/pods", error)) {
    std::string uid = e.path().filename().string();
    if (known.contains(uid) || worker(uid, false)) continue;
    if (Status s = tearDownPod(node.options, uid); !s.ok())
      logError(s, "Cannot remove an orphaned pod's directory", {{"uid", uid}});
  }
}

std::optional<Rejection> Kubelet::Core::admit(const v1::Pod& pod) {
  std::lock_guard one(admitMutex);
  std::vector<PodPtr> others;
  std::set<std::string> still;
  for (const auto& w : allWorkers()) {
    PodPtr other = w->pod();
    if (!other || other->metadata.uid == pod.metadata.uid) continue;
    bool taken = admitted.contains(other->metadata.uid.str()) || other->status.startTime;
    if (admitted.contains(other->metadata.uid.str())) still.insert(other->metadata.uid.str());
    if (taken && !isEnded(*other) && w->status().phase != "Succeeded" && w->status().phase != "Failed")
      others.push_back(std::move(other));
  }
  admitted.swap(still);
  AdmittingNode facts;
  facts.name = node.options.nodeName;
  facts.allocatable = node.allocatable;
  if (!pod.spec.nodeSelector.empty() || pod.spec.affinity) {
    auto own = client.get(client::target(v1::Node::kType, "", facts.name));
    if (own.ok()) facts.labels = (*own)->as<v1::Node>().metadata.labels;
  }
  auto no = rejectPod(pod, others, facts);
  if (!no) admitted.insert(pod.metadata.uid.str());
  return no;
}

void Kubelet::Core::relistLater() {
  std::lock_guard lock(mutex);
  if (stopped) return;
  relistTimer = timers.after(kRelist, [weak = weak_from_this()] {
    auto self = weak.lock();
    if (!self) return;
    self->pool.post([self] { self->relist(); });
    self->relistLater();
  });
}

void Kubelet::Core::stop() {
  std::map<std::string, std::shared_ptr<PodWorker>> workersNow;
  std::unique_ptr<client::Registration> handler;
  {
    std::lock_guard lock(mutex);
    if (std::exchange(stopped, true)) return;
    if (relistTimer) timers.cancel(relistTimer);
    workersNow.swap(byUid);
    handler = std::move(podHandler);
  }
  handler.reset();
  events.reset();
  if (pods) pods->stop();
  for (auto& [uid, w] : workersNow) w->stop();
  if (reporter) reporter->stop();
  if (probes) probes->stop();
  if (server) server->stop();
  runtime.close(kStopGrace);
  if (ownPool) ownPool->stop();
  if (ownServices) ownServices->stop();
  if (objects) objects->stop();
}

Kubelet::Kubelet(Options options, client::Client& client, client::WorkerPool& pool, client::Timers& timers,
                 async::Loop& loop, cri::Runtime& runtime, client::EventRecorder recorder, SharedParts shared)
    : core_(std::make_shared<Core>(std::move(options), client, pool, timers, loop, runtime,
                                   std::move(recorder), shared)) {}

Kubelet::~Kubelet() {
  stop();
}

Status Kubelet::start() {
  return core_->start();
}

void Kubelet::stop() {
  core_->stop();
}

int Kubelet::port() const {
  return core_->port;
}

std::vector<PodPtr> Kubelet::pods() const {
  return core_->allPods();
}

}  // namespace km::kubelet
