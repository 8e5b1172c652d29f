#include "controllers/ttl/controller.h"

#include <array>
#include <limits>
#include <mutex>

#include "controllers/objects.h"

namespace km::controllers::ttl {
namespace {

using api::core_v1::Node;

constexpr std::string_view kAnnotation = "node.alpha.kubernetes.io/ttl";

struct Bounds {
  int min, max, seconds;
};
constexpr std::array<Bounds, 5> kSteps = {{
    {0, 100, 0},
    {90, 500, 15},
    {450, 1000, 30},
    {900, 2000, 60},
    {1800, std::numeric_limits<int>::max(), 300},
}};

class TtlController : public Controller {
 public:
  explicit TtlController(Context& context)
      : context_(context), nodes_(context.use<Node>()), loop_(context, "ttlcontroller", 5, [this](const std::string& key) { return sync(key); }) {
    loop_.on(nodes_, {[this](const ObjectPtr& o, bool) {
                        count([](Steps& s) { s.added(); });
                        loop_.add(o->name());
                      },
                      [this](const ObjectPtr&, const ObjectPtr& o) { loop_.add(o->name()); },
                      [this](const ObjectPtr&, bool) { count([](Steps& s) { s.removed(); }); }});
  }
  void start() override { loop_.start(); }
  void stop() override { loop_.stop(); }

 private:
  void count(void (*change)(Steps&)) {
    std::lock_guard lock(mutex_);
    change(steps_);
  }

  Status sync(const std::string& name) {
    auto node = client::Lister<Node>(nodes_).get("", name);
    if (!node) return {};
    std::string wanted;
    {
      std::lock_guard lock(mutex_);
      wanted = std::to_string(steps_.seconds());
    }
    auto* have = node->metadata.annotations.find(kAnnotation);
    if (have != nullptr && *have == wanted) return {};
    std::string body = R"({"metadata":{"annotations":{")" + std::string(kAnnotation) + R"(":")" + wanted + R"("}}})";
    Status s = context_.client
                   .patch(client::target(Node::kType, "", name), client::PatchType::kStrategicMerge, std::move(body), writeOptions())
                   .status();
    return s.code() == 404 ? Status() : s;
  }

  Context& context_;
  client::SharedInformer& nodes_;
  std::mutex mutex_;
  Steps steps_;
  SyncLoop loop_;
};

}  // namespace

void Steps::added() {
  nodes_++;
  if (nodes_ > kSteps[step_].max) step_++;
}

void Steps::removed() {
  nodes_--;
  if (nodes_ < kSteps[step_].min) step_--;
}

int Steps::seconds() const { return kSteps[step_].seconds; }

std::unique_ptr<Controller> make(Context& context) { return std::make_unique<TtlController>(context); }

}  // namespace km::controllers::ttl
