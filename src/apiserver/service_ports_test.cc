#include "apiserver/service_ports.h"

#include <gtest/gtest.h>

#include <future>

#include "api/types/core_v1.h"
#include "codec/proto.h"
#include "store/embedded.h"

namespace km::apiserver {
namespace {

using api::core_v1::RangeAllocation;

api::MutableObject service(std::initializer_list<int> ports) {
  api::core_v1::Service s;
  for (int p : ports) s.spec.ports.add().nodePort = p;
  return api::Object::of(std::move(s));
}

Status claim(ServicePorts& ports, const api::Object& s, const api::Object* old = nullptr) {
  std::promise<Status> done;
  ports.claim(s, old, [&](Status r) { done.set_value(std::move(r)); });
  return done.get_future().get();
}
void release(ServicePorts& ports, const api::Object& s, const api::Object* other = nullptr) {
  std::promise<void> done;
  ports.release(s, other, [&] { done.set_value(); });
  done.get_future().get();
}
std::string bits(store::Store& store) {
  auto kv = store.get("/registry/ranges/servicenodeports");
  auto envelope = codec::openEnvelope(*(*kv)->value);
  RangeAllocation r;
  EXPECT_TRUE(codec::decodeProto(envelope->raw, &r, RangeAllocation::kType).ok());
  EXPECT_EQ(r.range, "30000-32767");
  return r.data.str();
}

TEST(ServicePorts, ServersOfOneStoreDoNotTakeTheSame) {
  auto store = store::openMemory();
  ServicePorts a(*store, 30000, 32767), b(*store, 30000, 32767);
  ASSERT_TRUE(a.start({}).ok());
  ASSERT_TRUE(b.start({}).ok());
  auto one = service({30000, 30009});
  EXPECT_TRUE(claim(a, *one).ok());
  EXPECT_TRUE(b.isTaken(30009));
  EXPECT_EQ(bits(*store), std::string("\x02\x01", 2));  // upstream's big.Int.Bytes()
  auto other = service({30001, 30009});
  Status s = claim(b, *other);
  EXPECT_TRUE(s.is("TakenElsewhere"));
  EXPECT_FALSE(b.isTaken(30001));
  // An update takes and frees what differs.
  auto moved = service({30000, 30001});
  EXPECT_TRUE(claim(b, *moved, one.get()).ok());
  release(b, *one, moved.get());
  EXPECT_EQ(bits(*store), std::string("\x03", 1));
  release(a, *moved);
  EXPECT_EQ(bits(*store), "");
  EXPECT_FALSE(a.isTaken(30000));
}

TEST(ServicePorts, PutsRightWhatAnEndLeft) {
  auto store = store::openMemory();
  auto kept = service({30002});
  {
    ServicePorts a(*store, 30000, 32767);
    ASSERT_TRUE(a.start({}).ok());
    auto lost = service({30001});
    EXPECT_TRUE(claim(a, *lost).ok());
  }
  ServicePorts b(*store, 30000, 32767);
  std::vector<api::ObjectPtr> services = {kept};
  ASSERT_TRUE(b.start(services).ok());
  EXPECT_TRUE(b.isTaken(30001) && b.isTaken(30002));
  b.freeLost(services);
  EXPECT_FALSE(b.isTaken(30001));
  EXPECT_TRUE(b.isTaken(30002));
}

}  // namespace
}  // namespace km::apiserver
