#include "codec/ops.h"
#include "codec/optional.h"

#include <algorithm>

namespace km::codec {
namespace {

template <typename T>
const T& as(const void* p) {
  return *static_cast<const T*>(p);
}

bool holdsMemory(Kind k) {
  return k == Kind::kString || k == Kind::kBytes || k == Kind::kIntOrString || k == Kind::kRawJson ||
         k == Kind::kMessage;
}

void destroyValue(void* p, Kind kind, const TypeInfo* type) {
  switch (kind) {
    case Kind::kString:
    case Kind::kBytes:
    case Kind::kRawJson:
    case Kind::kIntOrString:
      static_cast<String*>(p)->~String();  // the first member of the latter two
      break;
    case Kind::kMessage:
      destroy(p, *type);
      break;
    default:
      break;
  }
}

void copyValue(void* to, const void* from, Kind kind, const TypeInfo* type) {
  switch (kind) {
    case Kind::kString:
    case Kind::kBytes:
    case Kind::kRawJson:
      new (to) String(as<String>(from));
      break;
    case Kind::kIntOrString:
      new (to) IntOrString(as<IntOrString>(from));
      break;
    case Kind::kMessage:
      copy(to, from, *type);
      break;
    default:
      std::memcpy(to, from, sizeOf(kind, type));
  }
}

bool equalValue(const void* a, const void* b, Kind kind, const TypeInfo* type) {
  switch (kind) {
    case Kind::kBool: return as<bool>(a) == as<bool>(b);
    case Kind::kInt32:
    case Kind::kUint32: return as<int32_t>(a) == as<int32_t>(b);
    case Kind::kInt64:
    case Kind::kUint64:
    case Kind::kDuration: return as<int64_t>(a) == as<int64_t>(b);
    case Kind::kDouble: return as<double>(a) == as<double>(b);
    case Kind::kString:
    case Kind::kBytes:
    case Kind::kRawJson: return as<String>(a) == as<String>(b);
    case Kind::kQuantity: return as<Quantity>(a) == as<Quantity>(b);
    case Kind::kTime: return as<Time>(a) == as<Time>(b);
    case Kind::kMicroTime: return as<MicroTime>(a) == as<MicroTime>(b);
    case Kind::kIntOrString: return as<IntOrString>(a) == as<IntOrString>(b);
    case Kind::kMessage: return equal(a, b, *type);
  }
  return false;
}

bool isZeroValue(const void* p, Kind kind, const TypeInfo* type) {
  switch (kind) {
    case Kind::kBool: return !as<bool>(p);
    case Kind::kInt32:
    case Kind::kUint32: return as<int32_t>(p) == 0;
    case Kind::kInt64:
    case Kind::kUint64:
    case Kind::kDuration: return as<int64_t>(p) == 0;
    case Kind::kDouble: return as<double>(p) == 0;
    case Kind::kString:
    case Kind::kBytes:
    case Kind::kRawJson: return as<String>(p).empty();
    case Kind::kQuantity: return as<Quantity>(p).isZero();
    case Kind::kTime: return as<Time>(p).isZero();
    case Kind::kMicroTime: return as<MicroTime>(p).isZero();
    case Kind::kIntOrString: return as<IntOrString>(p) == IntOrString();
    case Kind::kMessage: return isZero(p, *type);
  }
  return false;
}

size_t heapBytesOf(const void* p, Kind kind, const TypeInfo* type) {
  if (kind == Kind::kMessage) return heapBytes(p, *type);
  if (holdsMemory(kind)) return as<String>(p).heapBytes();
  return 0;
}

}  // namespace

uint32_t sizeOf(Kind kind, const TypeInfo* type) {
  switch (kind) {
    case Kind::kBool: return sizeof(bool);
    case Kind::kInt32:
    case Kind::kUint32: return sizeof(int32_t);
    case Kind::kInt64:
    case Kind::kUint64:
    case Kind::kDuration: return sizeof(int64_t);
    case Kind::kDouble: return sizeof(double);
    case Kind::kString:
    case Kind::kBytes:
    case Kind::kRawJson: return sizeof(String);
    case Kind::kQuantity: return sizeof(Quantity);
    case Kind::kTime: return sizeof(Time);
    case Kind::kMicroTime: return sizeof(MicroTime);
    case Kind::kIntOrString: return sizeof(IntOrString);
    case Kind::kMessage: return type->size;
  }
  return 0;
}

const Field* TypeInfo::find(std::string_view json) const {
  for (const Field& f : *this) {
    if (f.name == json) return &f;
  }
  return nullptr;
}

void destroyField(void* object, const Field& f) {
  void* p = at(object, f);
  switch (f.shape) {
    case Shape::kPlain:
      destroyValue(p, f.kind, f.type);
      break;
    case Shape::kOpt:
      if (f.kind == Kind::kMessage) {
        void*& box = *static_cast<void**>(p);
        if (box != nullptr) boxDelete(std::exchange(box, nullptr), *f.type);
      } else {
        withOptional(p, f.kind, [](auto& o) { o.reset(); });
      }
      break;
    case Shape::kList:
      static_cast<ListBase*>(p)->clear(elemOf(f));
      break;
    case Shape::kMap:
      clearMap(*static_cast<ListBase*>(p), elemOf(f), mapEntrySize(sizeOf(f.kind, f.type)));
      break;
  }
}

void copyField(void* to, const void* from, const Field& f) {
  void* t = at(to, f);
  const void* p = at(from, f);
  switch (f.shape) {
    case Shape::kPlain:
      copyValue(t, p, f.kind, f.type);
      break;
    case Shape::kOpt:
      if (f.kind == Kind::kMessage) {
        const void* box = *static_cast<void* const*>(p);
        *static_cast<void**>(t) = box ? boxCopy(box, *f.type) : nullptr;
      } else {
        withOptional(p, f.kind, [t](auto& o) {
          using O = std::remove_cvref_t<decltype(o)>;
          new (t) O(o);
        });
      }
      break;
    case Shape::kList:
      static_cast<ListBase*>(t)->copyFrom(as<ListBase>(p), elemOf(f));
      break;
    case Shape::kMap:
      copyMap(*static_cast<ListBase*>(t), as<ListBase>(p), elemOf(f), mapEntrySize(sizeOf(f.kind, f.type)));
      break;
  }
}

bool equalField(const void* a, const void* b, const Field& f) {
  const void* p = at(a, f);
  const void* q = at(b, f);
  switch (f.shape) {
    case Shape::kPlain:
      return equalValue(p, q, f.kind, f.type);
    case Shape::kOpt:
      if (f.kind == Kind::kMessage) {
        return boxEqual(*static_cast<void* const*>(p), *static_cast<void* const*>(q), *f.type);
      }
      return withOptional(p, f.kind, [q](auto& o) {
        return o == *static_cast<decltype(&o)>(q);
      });
    case Shape::kList:
      return equalLists(as<ListBase>(p), as<ListBase>(q), elemOf(f));
    case Shape::kMap:
      return equalMaps(as<ListBase>(p), as<ListBase>(q), elemOf(f), mapEntrySize(sizeOf(f.kind, f.type)));
  }
  return false;
}

bool isEmptyField(const void* object, const Field& f) {
  const void* p = at(object, f);
  switch (f.shape) {
    case Shape::kPlain:
      return isZeroValue(p, f.kind, f.type);
    case Shape::kOpt:
      if (f.kind == Kind::kMessage) return *static_cast<void* const*>(p) == nullptr;
      return withOptional(p, f.kind, [](auto& o) { return !o.has_value(); });
    default:
      return as<ListBase>(p).size_ == 0;
  }
}

void destroy(void* p, const TypeInfo& t) {
  for (const Field& f : t) {
    if (f.shape == Shape::kPlain && !holdsMemory(f.kind)) continue;
    destroyField(p, f);
  }
  std::memset(p, 0, t.size);
}

void copy(void* to, const void* from, const TypeInfo& t) {
  for (const Field& f : t) copyField(to, from, f);
}

bool equal(const void* a, const void* b, const TypeInfo& t) {
  return std::all_of(t.begin(), t.end(), [&](const Field& f) { return equalField(a, b, f); });
}

bool isZero(const void* p, const TypeInfo& t) {
  return std::all_of(t.begin(), t.end(), [&](const Field& f) { return isEmptyField(p, f); });
}

size_t heapBytes(const void* object, const TypeInfo& t) {
  size_t n = 0;
  for (const Field& f : t) {
    const void* p = at(object, f);
    if (f.shape == Shape::kPlain) {
      n += heapBytesOf(p, f.kind, f.type);
    } else if (f.shape == Shape::kOpt) {
      if (f.kind == Kind::kMessage) {
        const void* box = *static_cast<void* const*>(p);
        if (box != nullptr) n += f.type->size + heapBytes(box, *f.type);
      }
    } else {
      const auto& list = as<ListBase>(p);
      uint32_t size = sizeOf(f.kind, f.type);
      bool map = f.shape == Shape::kMap;
      uint32_t stride = map ? mapEntrySize(size) : size;
      n += static_cast<size_t>(list.capacity_) * stride;
      for (uint32_t i = 0; i < list.size_; i++) {
        const char* e = static_cast<const char*>(list.data_) + static_cast<size_t>(i) * stride;
        if (map) n += as<String>(e).heapBytes();
        n += heapBytesOf(e + (map ? sizeof(String) : 0), f.kind, f.type);
      }
    }
  }
  return n;
}

// --- containers ---------------------------------------------------------------------------------------

void ListBase::reserve(uint32_t n, uint32_t elemSize) {
  if (n <= capacity_) return;
  void* p = std::realloc(data_, static_cast<size_t>(n) * elemSize);
  if (p == nullptr) throw std::bad_alloc();
  data_ = p;
  capacity_ = n;
}

void* ListBase::append(uint32_t elemSize) {
  if (size_ == capacity_) reserve(capacity_ < 4 ? capacity_ + 1 : capacity_ * 2, elemSize);
  void* p = static_cast<char*>(data_) + static_cast<size_t>(size_++) * elemSize;
  std::memset(p, 0, elemSize);
  return p;
}

void* ListBase::insert(uint32_t index, uint32_t elemSize) {
  append(elemSize);
  char* p = static_cast<char*>(data_) + static_cast<size_t>(index) * elemSize;
  std::memmove(p + elemSize, p, static_cast<size_t>(size_ - 1 - index) * elemSize);
  std::memset(p, 0, elemSize);
  return p;
}

void ListBase::erase(uint32_t index, uint32_t count, const Elem& e) {
  char* p = static_cast<char*>(data_) + static_cast<size_t>(index) * e.size;
  for (uint32_t i = 0; i < count; i++) destroyValue(p + static_cast<size_t>(i) * e.size, e.kind, e.type);
  std::memmove(p, p + static_cast<size_t>(count) * e.size, static_cast<size_t>(size_ - index - count) * e.size);
  size_ -= count;
}

void ListBase::clear(const Elem& e) {
  if (holdsMemory(e.kind)) {
    for (uint32_t i = 0; i < size_; i++) {
      destroyValue(static_cast<char*>(data_) + static_cast<size_t>(i) * e.size, e.kind, e.type);
    }
  }
  std::free(data_);
  data_ = nullptr;
  size_ = capacity_ = 0;
}

void ListBase::copyFrom(const ListBase& o, const Elem& e) {
  if (o.size_ == 0) return;
  reserve(o.size_, e.size);
  std::memset(data_, 0, static_cast<size_t>(o.size_) * e.size);
  size_ = o.size_;
  for (uint32_t i = 0; i < size_; i++) {
    size_t at = static_cast<size_t>(i) * e.size;
    copyValue(static_cast<char*>(data_) + at, static_cast<const char*>(o.data_) + at, e.kind, e.type);
  }
}

bool equalLists(const ListBase& a, const ListBase& b, const Elem& e) {
  if (a.size_ != b.size_) return false;
  for (uint32_t i = 0; i < a.size_; i++) {
    size_t at = static_cast<size_t>(i) * e.size;
    if (!equalValue(static_cast<const char*>(a.data_) + at, static_cast<const char*>(b.data_) + at, e.kind, e.type))
      return false;
  }
  return true;
}

uint32_t mapFind(const ListBase& map, uint32_t entrySize, std::string_view key, bool* found) {
  uint32_t low = 0, high = map.size_;
  // Keys arrive in order when a map is decoded: look at the end first.
  if (high > 0) {
    auto last = as<String>(static_cast<const char*>(map.data_) + static_cast<size_t>(high - 1) * entrySize).view();
    if (last < key) {
      *found = false;
      return high;
    }
  }
  while (low < high) {
    uint32_t mid = (low + high) / 2;
    if (as<String>(static_cast<const char*>(map.data_) + static_cast<size_t>(mid) * entrySize).view() < key) {
      low = mid + 1;
    } else {
      high = mid;
    }
  }
  *found = low < map.size_ &&
           as<String>(static_cast<const char*>(map.data_) + static_cast<size_t>(low) * entrySize).view() == key;
  return low;
}

void clearMap(ListBase& map, const Elem& value, uint32_t entrySize) {
  for (uint32_t i = 0; i < map.size_; i++) {
    char* e = static_cast<char*>(map.data_) + static_cast<size_t>(i) * entrySize;
    reinterpret_cast<String*>(e)->~String();
    destroyValue(e + sizeof(String), value.kind, value.type);
  }
  std::free(map.data_);
  map = ListBase();
}

void eraseMapEntry(ListBase& map, uint32_t index, const Elem& value, uint32_t entrySize) {
  char* e = static_cast<char*>(map.data_) + static_cast<size_t>(index) * entrySize;
  reinterpret_cast<String*>(e)->~String();
  destroyValue(e + sizeof(String), value.kind, value.type);
  std::memmove(e, e + entrySize, static_cast<size_t>(map.size_ - index - 1) * entrySize);
  map.size_--;
}

void copyMap(ListBase& to, const ListBase& from, const Elem& value, uint32_t entrySize) {
  if (from.size_ == 0) return;
  to.reserve(from.size_, entrySize);
  std::memset(to.data_, 0, static_cast<size_t>(from.size_) * entrySize);
  to.size_ = from.size_;
  for (uint32_t i = 0; i < from.size_; i++) {
    char* t = static_cast<char*>(to.data_) + static_cast<size_t>(i) * entrySize;
    const char* f = static_cast<const char*>(from.data_) + static_cast<size_t>(i) * entrySize;
    new (t) String(as<String>(f));
    copyValue(t + sizeof(String), f + sizeof(String), value.kind, value.type);
  }
}

bool equalMaps(const ListBase& a, const ListBase& b, const Elem& value, uint32_t entrySize) {
  if (a.size_ != b.size_) return false;
  for (uint32_t i = 0; i < a.size_; i++) {
    const char* p = static_cast<const char*>(a.data_) + static_cast<size_t>(i) * entrySize;
    const char* q = static_cast<const char*>(b.data_) + static_cast<size_t>(i) * entrySize;
    if (!(as<String>(p) == as<String>(q))) return false;
    if (!equalValue(p + sizeof(String), q + sizeof(String), value.kind, value.type)) return false;
  }
  return true;
}

void* boxNew(const TypeInfo& t) {
  void* p = std::calloc(1, t.size);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

void* boxCopy(const void* from, const TypeInfo& t) {
  void* p = boxNew(t);
  copy(p, from, t);
  return p;
}

void boxDelete(void* p, const TypeInfo& t) {
  destroy(p, t);
  std::free(p);
}

bool boxEqual(const void* a, const void* b, const TypeInfo& t) {
  if (a == nullptr || b == nullptr) return a == b;
  return equal(a, b, t);
}

}  // namespace km::codec
