// List, Map, Box: the containers of API structs, laid out so that tables can work on them (see type.h).
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <new>
#include <optional>
#include <string_view>
#include <utility>

#include "codec/scalars.h"
#include "codec/string.h"
#include "codec/type.h"

namespace km::codec {

// What a container holds, for code that does not know the C++ type.
struct Elem {
  Kind kind;
  const TypeInfo* type;  // of kMessage
  uint32_t size;         // bytes from one element to the next
};

template <typename T>
struct ElemOf {
  static Elem get() { return {Kind::kMessage, &T::kType, sizeof(T)}; }
};
#define KM_ELEM(T, K) \
  template <>         \
  struct ElemOf<T> {  \
    static Elem get() { return {K, nullptr, sizeof(T)}; } \
  };
KM_ELEM(bool, Kind::kBool)
KM_ELEM(int32_t, Kind::kInt32)
KM_ELEM(int64_t, Kind::kInt64)
KM_ELEM(uint32_t, Kind::kUint32)
KM_ELEM(uint64_t, Kind::kUint64)
KM_ELEM(double, Kind::kDouble)
KM_ELEM(String, Kind::kString)
KM_ELEM(Quantity, Kind::kQuantity)
KM_ELEM(Time, Kind::kTime)
KM_ELEM(MicroTime, Kind::kMicroTime)
KM_ELEM(GoDuration, Kind::kDuration)
KM_ELEM(IntOrString, Kind::kIntOrString)
KM_ELEM(RawJson, Kind::kRawJson)
#undef KM_ELEM

// The untyped list. Zero memory is the empty list; size 16.
struct ListBase {
  void* data_ = nullptr;
  uint32_t size_ = 0;
  uint32_t capacity_ = 0;

  // Appends one zeroed element and returns it.
  void* append(uint32_t elemSize);
  void reserve(uint32_t n, uint32_t elemSize);
  // Opens a zeroed element at `index`.
  void* insert(uint32_t index, uint32_t elemSize);
  void erase(uint32_t index, uint32_t count, const Elem& e);  // destroys them
  void clear(const Elem& e);                                  // destroys all, frees the memory
  void copyFrom(const ListBase& o, const Elem& e);            // this must be empty
};

bool equalLists(const ListBase& a, const ListBase& b, const Elem& e);

template <typename T>
class List : private ListBase {
 public:
  using value_type = T;
  using iterator = T*;
  using const_iterator = const T*;

  List() = default;
  List(std::initializer_list<T> init) {
    reserve(init.size());
    for (const T& v : init) push_back(v);
  }
  List(const List& o) { ListBase::copyFrom(o, ElemOf<T>::get()); }
  List(List&& o) noexcept { swap(o); }
  ~List() {
    if (data_ != nullptr) ListBase::clear(ElemOf<T>::get());
  }
  List& operator=(const List& o) {
    if (this != &o) {
      List copy(o);
      swap(copy);
    }
    return *this;
  }
  List& operator=(List&& o) noexcept {
    List taken(std::move(o));
    swap(taken);
    return *this;
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* begin() { return static_cast<T*>(data_); }
  T* end() { return begin() + size_; }
  const T* begin() const { return static_cast<const T*>(data_); }
  const T* end() const { return begin() + size_; }
  T& operator[](size_t i) { return begin()[i]; }
  const T& operator[](size_t i) const { return begin()[i]; }
  T& front() { return begin()[0]; }
  const T& front() const { return begin()[0]; }
  T& back() { return begin()[size_ - 1]; }
  const T& back() const { return begin()[size_ - 1]; }

  void reserve(size_t n) { ListBase::reserve(static_cast<uint32_t>(n), sizeof(T)); }
  // Appends an empty element.
  T& add() { return *static_cast<T*>(ListBase::append(sizeof(T))); }
  void push_back(const T& v) {
    T copy(v);
    place(ListBase::append(sizeof(T)), copy);
  }
  void push_back(T&& v) { place(ListBase::append(sizeof(T)), v); }
  void insert(size_t index, T v) { place(ListBase::insert(static_cast<uint32_t>(index), sizeof(T)), v); }
  void erase(size_t index, size_t count = 1) {
    ListBase::erase(static_cast<uint32_t>(index), static_cast<uint32_t>(count), ElemOf<T>::get());
  }
  void pop_back() { erase(size_ - 1); }
  void clear() { ListBase::clear(ElemOf<T>::get()); }
  void swap(List& o) noexcept {
    std::swap(data_, o.data_);
    std::swap(size_, o.size_);
    std::swap(capacity_, o.capacity_);
  }
  ListBase& base() { return *this; }
  const ListBase& base() const { return *this; }

  // Removes what `pred` holds for; returns how many.
  template <typename P>
  size_t eraseIf(P pred) {
    size_t n = 0;
    for (size_t i = size_; i-- > 0;) {
      if (pred(begin()[i])) {
        erase(i);
        n++;
      }
    }
    return n;
  }

  friend bool operator==(const List& a, const List& b) { return equalLists(a, b, ElemOf<T>::get()); }

 private:
  // Moves v into the zeroed place.
  static void place(void* where, T& v) {
    std::memcpy(where, static_cast<const void*>(&v), sizeof(T));
    std::memset(static_cast<void*>(&v), 0, sizeof(T));
  }
};

// Map from text to V: a list sorted by the bytes of its keys, as the wire shows it. Look-up is a binary search.
template <typename V>
struct MapEntry {
  String key;
  V value{};
};

// Index of the first entry whose key is not less than `key`; *found says whether it is equal.
uint32_t mapFind(const ListBase& map, uint32_t entrySize, std::string_view key, bool* found);
void clearMap(ListBase& map, const Elem& value, uint32_t entrySize);
void eraseMapEntry(ListBase& map, uint32_t index, const Elem& value, uint32_t entrySize);
void copyMap(ListBase& to, const ListBase& from, const Elem& value, uint32_t entrySize);
bool equalMaps(const ListBase& a, const ListBase& b, const Elem& value, uint32_t entrySize);
constexpr uint32_t mapEntrySize(uint32_t valueSize) { return sizeof(String) + ((valueSize + 7) & ~7u); }

template <typename V>
class Map : private ListBase {
 public:
  using Entry = MapEntry<V>;

  Map() = default;
  Map(std::initializer_list<std::pair<std::string_view, V>> init) {
    for (const auto& [k, v] : init) (*this)[k] = v;
  }
  Map(const Map& o) { copyMap(*this, o, ElemOf<V>::get(), sizeof(Entry)); }
  Map(Map&& o) noexcept { swap(o); }
  ~Map() {
    if (data_ != nullptr) clear();
  }
  Map& operator=(const Map& o) {
    if (this != &o) {
      Map copy(o);
      swap(copy);
    }
    return *this;
  }
  Map& operator=(Map&& o) noexcept {
    Map taken(std::move(o));
    swap(taken);
    return *this;
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  Entry* begin() { return static_cast<Entry*>(data_); }
  Entry* end() { return begin() + size_; }
  const Entry* begin() const { return static_cast<const Entry*>(data_); }
  const Entry* end() const { return begin() + size_; }

  const V* find(std::string_view key) const {
    bool found;
    uint32_t i = mapFind(*this, sizeof(Entry), key, &found);
    return found ? &begin()[i].value : nullptr;
  }
  V* find(std::string_view key) { return const_cast<V*>(std::as_const(*this).find(key)); }
  bool contains(std::string_view key) const { return find(key) != nullptr; }
  // The value, made empty if there was none.
  V& operator[](std::string_view key) {
    bool found;
    uint32_t i = mapFind(*this, sizeof(Entry), key, &found);
    if (found) return begin()[i].value;
    Entry* e = static_cast<Entry*>(ListBase::insert(i, sizeof(Entry)));
    e->key = key;
    return e->value;
  }
  // The value or an empty one.
  V get(std::string_view key) const {
    const V* v = find(key);
    return v ? *v : V{};
  }
  bool erase(std::string_view key) {
    bool found;
    uint32_t i = mapFind(*this, sizeof(Entry), key, &found);
    if (!found) return false;
    eraseMapEntry(*this, i, ElemOf<V>::get(), sizeof(Entry));
    return true;
  }
  void clear() { clearMap(*this, ElemOf<V>::get(), sizeof(Entry)); }
  void swap(Map& o) noexcept {
    std::swap(data_, o.data_);
    std::swap(size_, o.size_);
    std::swap(capacity_, o.capacity_);
  }
  ListBase& base() { return *this; }
  const ListBase& base() const { return *this; }

  friend bool operator==(const Map& a, const Map& b) {
    return equalMaps(a, b, ElemOf<V>::get(), sizeof(Entry));
  }
};

// An optional message on the heap. Copies are deep.
void* boxNew(const TypeInfo& t);
void* boxCopy(const void* from, const TypeInfo& t);
void boxDelete(void* p, const TypeInfo& t);
bool boxEqual(const void* a, const void* b, const TypeInfo& t);  // either may be null

template <typename T>
class Box {
 public:
  Box() = default;
  Box(T v) { emplace() = std::move(v); }  // NOLINT: implicit by intent
  Box(const Box& o) : p_(o.p_ ? boxCopy(o.p_, T::kType) : nullptr) {}
  Box(Box&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
  ~Box() {
    if (p_ != nullptr) boxDelete(p_, T::kType);
  }
  Box& operator=(const Box& o) {
    if (this != &o) {
      Box copy(o);
      std::swap(p_, copy.p_);
    }
    return *this;
  }
  Box& operator=(Box&& o) noexcept {
    Box taken(std::move(o));
    std::swap(p_, taken.p_);
    return *this;
  }

  explicit operator bool() const { return p_ != nullptr; }
  bool has_value() const { return p_ != nullptr; }
  T* get() { return static_cast<T*>(p_); }
  const T* get() const { return static_cast<const T*>(p_); }
  T* operator->() { return get(); }
  const T* operator->() const { return get(); }
  T& operator*() { return *get(); }
  const T& operator*() const { return *get(); }
  // A fresh empty T.
  T& emplace() {
    reset();
    p_ = boxNew(T::kType);
    return *get();
  }
  // The T, made empty if there was none.
  T& ensure() { return p_ != nullptr ? *get() : emplace(); }
  void reset() {
    if (p_ != nullptr) boxDelete(std::exchange(p_, nullptr), T::kType);
  }
  friend bool operator==(const Box& a, const Box& b) { return boxEqual(a.p_, b.p_, T::kType); }

 private:
  void* p_ = nullptr;
};

}  // namespace km::codec
