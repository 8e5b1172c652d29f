#include "client/informer.h"

#include <gtest/gtest.h>

#include <condition_variable>

#include "api/types/core_v1.h"
#include "client/testing/fake_client.h"

namespace km::client {
namespace {

using api::core_v1::ConfigMap;
using std::chrono::seconds;

ConfigMap configMap(std::string_view name, std::string_view value = "", std::string_view ns = "default") {
  ConfigMap c;
  c.metadata.name = name;
  c.metadata.namespace_ = ns;
  if (!value.empty()) c.metadata.labels["v"] = value;
  return c;
}

// What a handler heard, as text.
struct Heard {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> lines;

  void add(std::string line) {
    std::lock_guard lock(mutex);
    lines.push_back(std::move(line));
    changed.notify_all();
  }
  Handler handler() {
    return {[this](const ObjectPtr& o, bool initial) { add((initial ? "initial " : "add ") + o->key()); },
            [this](const ObjectPtr& a, const ObjectPtr& b) {
              add("update " + b->key() + " " + a->meta().labels.get("v").str() + ">" + b->meta().labels.get("v").str());
            },
            [this](const ObjectPtr& o, bool unknown) { add((unknown ? "lost " : "delete ") + o->key()); }};
  }
  std::vector<std::string> wait(size_t n) {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, seconds(5), [&] { return lines.size() >= n; });
    auto out = lines;
    lines.clear();
    return out;
  }
};

using Lines = std::vector<std::string>;

struct InformerTest : testing::Test {
  FakeClient client;
  WorkerPool pool{3};
  Timers timers;
  InformerFactory factory{client, pool, timers};
  Target at(std::string_view name) { return target(ConfigMap::kType, "default", name); }
};

TEST_F(InformerTest, TellsTheLifeOfObjectsInOrder) {
  client.put(configMap("old"));
  auto& informer = factory.of<ConfigMap>();
  Heard heard;
  auto registration = informer.addHandler(heard.handler());
  factory.start();
  ASSERT_TRUE(factory.waitForSync(seconds(5)));
  EXPECT_EQ(heard.wait(1), Lines{"initial default/old"});

  auto made = client.create(target(ConfigMap::kType, "default"), Object::of(configMap("new", "1")));
  ASSERT_TRUE(made.ok());
  ASSERT_TRUE(client.update(at("new"), Object::of(configMap("new", "2"))).ok());
  ASSERT_TRUE(client.remove(at("new")).ok());
  EXPECT_EQ(heard.wait(3), (Lines{"add default/new", "update default/new 1>2", "delete default/new"}));
  EXPECT_TRUE(registration->hasSynced());
}

TEST_F(InformerTest, ALateHandlerHearsWhatIsThere) {
  client.put(configMap("a"));
  client.put(configMap("b"));
  auto& informer = factory.of<ConfigMap>();
  factory.start();
  ASSERT_TRUE(informer.waitForSync(seconds(5)));
  Heard heard;
  auto registration = informer.addHandler(heard.handler());
  EXPECT_EQ(heard.wait(2), (Lines{"initial default/a", "initial default/b"}));
  registration.reset();
  client.put(configMap("c"));
  Heard other;
  auto again = informer.addHandler(other.handler());
  other.wait(3);
  EXPECT_EQ(heard.wait(0), Lines{});
}

TEST_F(InformerTest, AnExpiredWatchLeadsToTheDifference) {
  client.put(configMap("gone"));
  client.put(configMap("stays"));
  client.put(configMap("changes", "1"));
  auto& informer = factory.of<ConfigMap>();
  Heard heard;
  auto registration = informer.addHandler(heard.handler());
  factory.start();
  heard.wait(3);
  while (client.watchCount() == 0) std::this_thread::yield();
  // While the watch is refused, things happen.
  client.setReactor([](std::string_view verb, const Target&, const ObjectPtr&) {
    return verb == "watch" || verb == "list" ? errors::serviceUnavailable("not now") : Status();
  });
  client.endWatches();
  ASSERT_TRUE(client.remove(at("gone")).ok());
  client.put(configMap("fresh"));
  client.put(configMap("changes", "2"));
  client.expireWatches();
  client.setReactor(nullptr);
  auto lines = heard.wait(4);
  std::sort(lines.begin(), lines.end());
  // "changes" was put anew, with another uid: the old object's end is told, too.
  EXPECT_EQ(lines.back(), "lost default/gone");
  EXPECT_TRUE(informer.store().get("default/fresh"));
  EXPECT_FALSE(informer.store().get("default/gone"));
}

TEST_F(InformerTest, AnEndedWatchIsResumed) {
  auto& informer = factory.of<ConfigMap>();
  Heard heard;
  auto registration = informer.addHandler(heard.handler());
  factory.start();
  ASSERT_TRUE(informer.waitForSync(seconds(5)));
  while (client.watchCount() == 0) std::this_thread::yield();
  client.put(configMap("a"));
  client.endWatches();
  client.put(configMap("b"));
  EXPECT_EQ(heard.wait(2), (Lines{"add default/a", "add default/b"}));
}

TEST_F(InformerTest, ListersAndIndexes) {
  client.put(configMap("a", "x"));
  client.put(configMap("b", "y"));
  client.put(configMap("c", "x", "other"));
  auto& informer = factory.of<ConfigMap>();
  informer.addIndex("byV", [](const Object& o) { return std::vector<std::string>{o.meta().labels.get("v").str()}; });
  EXPECT_EQ(&informer, &factory.of<ConfigMap>());
  factory.start();
  ASSERT_TRUE(informer.waitForSync(seconds(5)));
  auto lister = factory.lister<ConfigMap>();
  EXPECT_EQ(lister.get("default", "a")->metadata.name, "a");
  EXPECT_EQ(lister.get("default", "c"), nullptr);
  EXPECT_EQ(lister.list().size(), 3u);
  EXPECT_EQ(lister.list("default").size(), 2u);
  EXPECT_EQ(lister.list(*api::LabelSelector::parse("v=x")).size(), 2u);
  EXPECT_EQ(lister.list("other", *api::LabelSelector::parse("v=x")).size(), 1u);
  EXPECT_EQ(lister.byIndex("byV", "y").size(), 1u);
  // The very object, no copy.
  EXPECT_EQ(informer.store().get("default/a").get(), informer.store().byIndex("byV", "x").size() == 2
                                                         ? informer.store().get("default/a").get()
                                                         : nullptr);
}

TEST_F(InformerTest, StopEndsCallsToHandlers) {
  auto& informer = factory.of<ConfigMap>();
  std::atomic<int> calls{0};
  auto registration = informer.addHandler({[&](const ObjectPtr&, bool) { calls++; }, nullptr, nullptr});
  factory.start();
  ASSERT_TRUE(informer.waitForSync(seconds(5)));
  factory.stop();
  int before = calls;
  client.put(configMap("a"));
  EXPECT_EQ(calls, before);
}

}  // namespace
}  // namespace km::client
