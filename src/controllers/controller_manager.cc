#include "controllers/controller_manager.h"

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>

#include "base/log.h"

namespace km::controllers {

Result<std::vector<const ControllerRow*>> selectControllers(const std::vector<std::string>& selection) {
  bool star = false;
  for (const std::string& s : selection) {
    if (s == "*") {
      star = true;
      continue;
    }
    std::string_view name = s;
    if (name.starts_with('-')) name.remove_prefix(1);
    if (findController(name) == nullptr) {
      return errors::failed("\"" + std::string(name) + "\" is not in the list of known controllers");
    }
  }
  std::vector<const ControllerRow*> out;
  for (const ControllerRow& row : controllerTable()) {
    int named = 0;
    for (const std::string& s : selection) {
      const ControllerRow* r = findController(s.starts_with('-') ? std::string_view(s).substr(1) : std::string_view(s));
      if (r != &row) continue;
      named = s.starts_with('-') ? -1 : 1;
      break;
    }
    if (named > 0 || (named == 0 && star && row.defaultOn)) out.push_back(&row);
  }
  return out;
}

struct ControllerManager::State {
  State(client::Client& c, client::InformerFactory& i, client::WorkerPool& p, client::Timers& t, Options o)
      : client(c), informers(i), pool(p), timers(t), options(std::move(o)), events(c, p, t), lane(p, 1) {
    gate->state = this;
  }

  struct Slot {
    std::string_view name;
    Context context;
    std::unique_ptr<Controller> controller;
    bool working = false;
  };

  client::Client& client;
  client::InformerFactory& informers;
  client::WorkerPool& pool;
  client::Timers& timers;
  const Options options;
  client::EventBroadcaster events;
  std::map<std::string_view, std::unique_ptr<client::Client>> accounts;
  std::vector<std::unique_ptr<Slot>> slots;
  std::mutex mutex;
  std::condition_variable changed;
  size_t working = 0;
  bool stopped = false;
  client::Lane lane;
  // What callbacks of informers hold, which nobody can take back: they find null once the manager stops, and never keep alive what ends with it.
  struct Gate {
    std::mutex mutex;
    State* state;
  };
  const std::shared_ptr<Gate> gate = std::make_shared<Gate>();

  // On the lane: informers call back on a transport's thread, where nothing may block.
  void begin(Slot& slot) {
    std::lock_guard lock(mutex);
    if (stopped || slot.working) return;
    slot.controller->start();
    slot.working = true;
    working++;
    changed.notify_all();
    KM_VLOG(1, "Started \"{}\"", slot.name);
  }

  void beginWhenSynced(Slot& slot) {
    auto left = std::make_shared<std::atomic<size_t>>(slot.context.used.size() + 1);
    auto synced = [gate = gate, &slot, left] {
      if (--*left > 0) return;
      std::lock_guard lock(gate->mutex);
      if (State* s = gate->state) s->lane.post([s, &slot] { s->begin(slot); });
    };
    for (client::SharedInformer* informer : slot.context.used) informer->whenSynced(synced);
    synced();
  }
};

ControllerManager::ControllerManager(client::Client& client, client::InformerFactory& informers, client::WorkerPool& pool,
                                     client::Timers& timers, Options options)
    : state_(std::make_shared<State>(client, informers, pool, timers, std::move(options))) {}

ControllerManager::~ControllerManager() { stop(); }

Status ControllerManager::start(const std::vector<const ControllerRow*>& rows) {
  State& s = *state_;
  for (const ControllerRow* row : rows) {
    client::Client* own = &s.client;
    if (s.options.accountClient && !row->account.empty()) {
      auto& slot = s.accounts[row->account];
      if (!slot) {
        KM_ASSIGN(slot, s.options.accountClient(row->account));
      }
      own = slot.get();
    }
    auto slot = std::make_unique<State::Slot>(
        State::Slot{row->name, {*own, s.informers, s.pool, s.timers, s.events, s.options, {}}, nullptr});
    slot->controller = row->make(slot->context);
    if (slot->controller) s.slots.push_back(std::move(slot));
  }
  s.informers.start();
  for (auto& slot : s.slots) s.beginWhenSynced(*slot);
  return {};
}

bool ControllerManager::waitForStart(Duration timeout) {
  std::unique_lock lock(state_->mutex);
  State& s = *state_;
  s.changed.wait_for(lock, timeout, [&] { return s.working == s.slots.size() || s.stopped; });
  return s.working == s.slots.size();
}

void ControllerManager::stop() {
  State& s = *state_;
  {
    std::lock_guard lock(s.mutex);
    if (s.stopped) return;
    s.stopped = true;
    s.changed.notify_all();
  }
  {
    std::lock_guard lock(s.gate->mutex);
    s.gate->state = nullptr;
  }
  s.lane.close();
  for (auto& slot : s.slots) slot->controller->stop();
  s.events.flush(std::chrono::seconds(1));
  s.events.stop();
  for (auto& slot : s.slots) slot->controller.reset();
}

}  // namespace km::controllers
