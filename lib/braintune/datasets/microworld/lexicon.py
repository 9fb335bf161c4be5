# ruff: noqa: E501, SIM905
"""The words of the microworld, as plain data: names, topics, kinds of things and of actions, senses, feelings.

Word lists are strings split at commas (or spaces). A *frame* is a clause written as segments between bars:
``"0:{p} | =swung | 1:the bat | MNR:with both hands"``. ``=`` marks the verb group, a number or a name before a
colon the role of the segment (``0`` is ARG0, ``LOC`` is ARGM-LOC); ``{p}`` is a slot that the grammar fills.
"""

from typing import NamedTuple

# --- names -------------------------------------------------------------------------------------------------------

WOMEN = (
    "Anna Maria Laura Emily Sarah Julia Claire Susan Alice Helen Nora Diana Rachel Martha Lucy Eva Sophie Karen "
    "Teresa Linda Olivia Hannah Emma Ruth Grace Florence Georgia Sydney"
).split()
MEN = (
    "Tom David Peter James Robert Daniel Oscar Martin Paul Simon Henry Victor Frank Samuel George Hugo Brian Kevin "
    "Carlos Edward Arthur Walter Leo Adam Philip Austin Jordan Lincoln"
).split()
SURNAMES = (
    "Lopez Carter Novak Berg Hughes Fischer Rossi Tanaka Murphy Silva Clark Bennett Moreau Keller Okafor Patel "
    "Larsen Wagner Haddad Cooper Ortega Walsh Jensen Dubois Kovacs Morgan Santos Reid Weber Lindgren"
).split()
CITIES = (
    "Paris, London, Madrid, Boston, Chicago, Dublin, Oslo, Vienna, Lisbon, Cairo, Toronto, Seattle, Prague, Athens, "
    "Denver, Milan, New York, Hong Kong, Florence, Georgia, Sydney, Austin, Jordan, Lincoln"
).split(", ")
#: An organisation is a city or a surname followed by one of these words, or a made-up name of its own.
COMPANY_WORDS = "Motors Bank Foods Airlines University Institute Records Insurance".split()
MADE_UP = "Novatek Lumora Brightwave Zentrix Oakfield Vantora Solaris Medicor".split()
PRODUCTS = "Falcon Aurora Comet Nimbus Orion Breeze Pioneer Spark".split()

# --- topics ------------------------------------------------------------------------------------------------------


class Topic(NamedTuple):
    """One topic: its broad domain, who is there, where, and what they do (``"verb: object, object"``)."""

    domain: str
    people: str
    places: str
    events: tuple[str, ...]


TOPICS = {
    "hospital": Topic("health", "doctor, nurse, surgeon, patient", "clinic, ward, hospital", (
        "examine: wound, scar, bone", "read: chart, prescription", "clean: needle, bandage, thermometer",
        "prepare: injection, bandage, stretcher", "treat: infection, fever, fracture")),
    "kitchen": Topic("home", "chef, waiter, baker, guest", "kitchen, restaurant, bakery", (
        "bake: cake, pie, +loaves", "taste: soup, sauce, cheese", "chop: onion, carrot, +tomatoes",
        "wash: pan, bowl, +knives", "order: dessert, salad, sandwich")),
    "farm": Topic("nature", "farmer, shepherd, vet, neighbour", "farm, barn, meadow", (
        "feed: horse, goat, +chickens", "milk: cow, goat", "plough: field, meadow",
        "repair: tractor, fence, gate", "harvest: wheat, corn, +potatoes")),
    "school": Topic("learning", "teacher, pupil, student, headmaster", "classroom, school, playground", (
        "explain: lesson, theorem, poem", "mark: essay, exam, +notebooks", "draw: map, triangle, diagram",
        "forget: pencil, ruler, notebook", "solve: equation, puzzle, riddle")),
    "court": Topic("law", "judge, lawyer, witness, clerk", "courtroom, courthouse, office", (
        "read: verdict, contract, statement", "sign: contract, statement, letter", "question: alibi, testimony, verdict",
        "reject: appeal, argument, testimony", "present: document, argument, photograph")),
    "orchestra": Topic("art", "conductor, violinist, singer, composer", "concert hall, studio, opera house", (
        "play: violin, cello, piano", "tune: guitar, violin, harp", "compose: symphony, song, opera",
        "record: song, melody, concerto", "rehearse: symphony, melody, opera")),
    "football": Topic("sport", "coach, goalkeeper, referee, striker", "stadium, pitch, gym", (
        "kick: ball, penalty", "win: match, trophy, medal", "stop: ball, penalty, match",
        "watch: match, replay, race", "lose: match, final, race")),
    "sailing": Topic("travel", "sailor, captain, fisherman, diver", "harbour, beach, lighthouse", (
        "steer: ship, boat, ferry", "catch: fish, crab, +lobsters", "drop: anchor, net, rope",
        "paint: boat, mast, anchor", "survive: storm, hurricane, wave")),
    "garden": Topic("nature", "gardener, florist, neighbour, botanist", "garden, park, greenhouse", (
        "plant: rose, tulip, tree", "water: orchid, lawn, +flowers", "cut: hedge, branch, lawn",
        "buy: shovel, rake, ladder", "dig: hole, pond, ditch")),
    "market": Topic("trade", "merchant, customer, butcher, grocer", "market, shop, bakery", (
        "sell: cheese, apple, +oranges", "buy: melon, ham, +eggs", "weigh: fish, pumpkin, +cherries",
        "count: +coins, +apples, +boxes", "carry: basket, box, bag")),
    "newsroom": Topic("law", "journalist, editor, reporter, photographer", "newsroom, office, studio", (
        "write: article, report, headline", "publish: interview, photograph, article", "film: protest, parade, interview",
        "check: source, report, statement", "delete: paragraph, email, headline")),
    "airport": Topic("travel", "pilot, passenger, mechanic, steward", "airport, terminal, hangar", (
        "land: plane, helicopter, jet", "lose: suitcase, passport, ticket", "inspect: engine, wing, suitcase",
        "show: passport, ticket, badge", "delay: flight, departure, journey")),
    "laboratory": Topic("learning", "scientist, chemist, biologist, assistant", "laboratory, museum, observatory", (
        "measure: molecule, crystal, liquid", "discover: bacterium, planet, fossil", "test: vaccine, theory, magnet",
        "break: microscope, bottle, magnet", "publish: theory, experiment, report")),
    "library": Topic("learning", "librarian, novelist, historian, reader", "library, bookshop, archive", (
        "borrow: novel, dictionary, atlas", "translate: poem, letter, novel", "find: manuscript, map, diary",
        "return: book, magazine, atlas", "burn: letter, diary, manuscript")),
    "building": Topic("trade", "builder, architect, carpenter, plumber", "workshop, tower, warehouse", (
        "build: house, bridge, wall", "drop: hammer, brick, drill", "design: tower, bridge, staircase",
        "fix: pipe, roof, door", "demolish: wall, warehouse, chimney")),
    "theatre": Topic("art", "actor, actress, director, dancer", "theatre, stage, studio", (
        "rehearse: play, dance, scene", "learn: dialogue, dance, song", "wear: costume, mask, wig",
        "cancel: performance, premiere, play", "praise: play, performance, scene")),
    "wedding": Topic("home", "bride, groom, priest, bridesmaid", "church, chapel, ballroom", (
        "cut: cake, ribbon", "choose: ring, dress, +flowers", "plan: ceremony, party, honeymoon",
        "open: present, champagne, letter", "wear: veil, suit, necklace")),
    "mountain": Topic("nature", "climber, guide, hiker, ranger", "mountain, valley, cabin", (
        "climb: cliff, peak, glacier", "cross: river, glacier, valley", "pack: rope, tent, compass",
        "spot: eagle, bear, wolf", "lose: glove, compass, map")),
    "zoo": Topic("nature", "keeper, visitor, biologist, vet", "zoo, aquarium, cage", (
        "feed: elephant, penguin, +monkeys", "photograph: tiger, giraffe, zebra", "clean: cage, pool, aquarium",
        "tame: lion, parrot, bear", "weigh: turtle, snake, seal")),
    "bank": Topic("trade", "banker, accountant, investor, cashier", "office, vault, branch office", (
        "count: +coins, +banknotes, cash", "approve: loan, mortgage, budget", "steal: wallet, cash, necklace",
        "pay: bill, debt, invoice", "calculate: profit, tax, debt")),
    "factory": Topic("trade", "engineer, worker, manager, technician", "factory, warehouse, workshop", (
        "assemble: engine, robot, bicycle", "repair: machine, pump, motor", "test: battery, robot, engine",
        "load: truck, van, +crates", "stop: machine, strike, motor")),
    "police": Topic("law", "detective, officer, thief, guard", "station, prison, alley", (
        "find: pistol, fingerprint, knife", "search: cellar, van, drawer", "hide: pistol, jewel, cash",
        "solve: crime, murder, robbery", "lock: door, cell, safe")),
    "tailor": Topic("home", "tailor, designer, model, customer", "boutique, studio, shop", (
        "sew: dress, shirt, skirt", "iron: shirt, suit, +trousers", "wear: hat, scarf, coat",
        "buy: needle, ribbon, jacket", "design: dress, coat, costume")),
    "painting": Topic("art", "painter, sculptor, curator, collector", "gallery, museum, studio", (
        "paint: portrait, landscape, mural", "carve: statue, mask, bust", "sell: portrait, statue, sketch",
        "clean: brush, statue, easel", "steal: portrait, vase, sketch")),
}  # fmt: skip

# --- kinds of things and of actions: the concept features --------------------------------------------------------

#: kind of thing -> its nouns; the key is also the everyday word above them ("a hammer is a tool")
THINGS = {
    "animal": "horse goat chickens cow fish crab lobsters eagle bear wolf elephant penguin monkeys tiger giraffe zebra "
    "lion parrot turtle snake seal dog cat rabbit bacterium",
    "food": "cake pie loaves soup sauce cheese onion carrot tomatoes dessert salad sandwich wheat corn potatoes apple "
    "oranges melon ham eggs pumpkin cherries apples champagne banana",
    "tool": "needle thermometer pan bowl knives hammer drill shovel rake ladder knife brush microscope magnet compass "
    "pencil ruler anchor rope net stretcher pump saw",
    "vehicle": "tractor ship boat ferry plane helicopter jet truck van bicycle car bus taxi",
    "garment": "costume dress suit veil glove shirt skirt trousers hat scarf coat jacket mask wig badge",
    "plant": "rose tulip tree orchid lawn flowers hedge branch daisy",
    "document": "chart prescription essay exam notebooks notebook map diagram contract statement letter document article report "
    "headline email paragraph novel dictionary atlas manuscript diary book magazine passport ticket bill invoice poem dialogue",
    "artwork": "violin cello piano guitar harp symphony song opera melody concerto portrait landscape mural statue bust "
    "sketch play dance scene photograph vase easel",
    "building": "tent house bridge wall tower staircase roof door chimney warehouse fence gate cage pool aquarium cellar cell "
    "clinic ward hospital kitchen restaurant bakery barn classroom school courtroom courthouse office hall studio "
    "stadium gym lighthouse greenhouse shop newsroom terminal hangar laboratory museum observatory library bookshop "
    "archive workshop theatre stage church chapel ballroom cabin vault factory station prison boutique gallery airport "
    "drawer pipe brick market",
    "landscape": "field meadow farm harbour beach garden park hole pond ditch river cliff peak glacier valley mountain "
    "wave planet fossil playground pitch zoo alley crystal liquid city",
    "body": "wound scar bone infection fever fracture injection bandage vaccine molecule fingerprint",
    "wealth": "coins banknotes cash loan mortgage budget wallet profit tax debt jewel necklace ring ribbon trophy medal "
    "present safe boxes box basket bag crates suitcase",
    "happening": "match penalty final replay race storm hurricane protest parade interview flight departure journey "
    "experiment performance premiere ceremony party honeymoon strike crime murder robbery",
    "idea": "lesson theorem triangle equation puzzle riddle verdict alibi testimony appeal argument source theory",
    "machine": "engine wing robot machine motor battery ball bottle pistol mast",
}
#: kind of action -> its verbs
ACTIONS = {
    "motion": "kick climb cross steer land drop carry load arrive return lift follow run walk leave chase push plough draw "
    "catch throw",
    "communication": "explain question present publish write sign translate say tell announce call thank praise criticise "
    "warn invite interview greet congratulate apologise confess lie scold insult promise commend condemn phone "
    "welcome alert claim report read record show praise",
    "perception": "watch taste spot inspect examine check see hear find discover measure search photograph film test weigh "
    "notice smell",
    "making": "open bake prepare build design compose paint carve sew draw write assemble repair fix plant cook construct dig "
    "harvest tune mend plan pack chop",
    "breaking": "delay lock break cut burn demolish delete steal cancel reject stop lose damage destroy hit strike fire dismiss shut "
    "close abandon desert obstruct hinder",
    "having": "buy sell borrow steal hide choose order pay win lose wear keep give receive lend count purchase collect",
    "thinking": "solve learn forget calculate plan approve test know believe think realise hope decide remember admire trust "
    "doubt regret mark rehearse",
    "caring": "treat feed milk water clean wash iron tame help thank hug rescue save assist teach embrace love adore "
    "visit comfort survive play",
}
DOMAINS = ("health", "home", "nature", "learning", "law", "art", "sport", "travel", "trade")

IRREGULAR = {  # lemma: past, participle
    "read": "read read", "draw": "drew drawn", "forget": "forgot forgotten", "win": "won won", "lose": "lost lost",
    "catch": "caught caught", "cut": "cut cut", "buy": "bought bought", "dig": "dug dug", "sell": "sold sold",
    "write": "wrote written", "show": "showed shown", "break": "broke broken", "find": "found found",
    "build": "built built", "wear": "wore worn", "choose": "chose chosen", "steal": "stole stolen", "feed": "fed fed",
    "pay": "paid paid", "hide": "hid hidden", "sew": "sewed sewn", "teach": "taught taught", "leave": "left left",
    "hit": "hit hit", "strike": "struck struck", "shut": "shut shut", "give": "gave given", "lend": "lent lent",
    "begin": "began begun", "see": "saw seen", "know": "knew known", "say": "said said", "tell": "told told",
    "run": "ran run", "keep": "kept kept", "think": "thought thought", "beat": "beat beaten", "be": "was been",
    "hear": "heard heard", "burn": "burned burned", "learn": "learned learned", "throw": "threw thrown",
    "fly": "flew flown", "hang": "hung hung", "shoot": "shot shot", "ring": "rang rung", "bring": "brought brought",
    "swing": "swung swung", "hold": "held held", "fall": "fell fallen", "cast": "cast cast", "sink": "sank sunk",
    "go": "went gone", "have": "had had", "feel": "felt felt", "stand": "stood stood", "grow": "grew grown",
    "overthrow": "overthrew overthrown", "make": "made made", "take": "took taken", "get": "got got", "bear": "bore borne",
    "lead": "led led", "rise": "rose risen", "come": "came come", "sit": "sat sat", "eat": "ate eaten", "lie": "lied lied",
    "bend": "bent bent", "bite": "bit bitten", "flee": "fled fled", "lay": "laid laid", "light": "lit lit", "meet": "met met",
    "put": "put put", "sing": "sang sung", "shine": "shone shone", "sleep": "slept slept", "spread": "spread spread",
    "swim": "swam swum", "tear": "tore torn", "weep": "wept wept",
}  # fmt: skip
DOUBLING = set("cancel drop stop plan chop spot hug plug rob slam slip step".split())
#: verbs that occur in frames only
OTHER_VERBS = (
    "accept agree answer appeal appear appreciate assault attack bury charge cheat cheer circle click complete "
    "conceal connect curl dance defeat defend describe desire despise detest discuss dislike display distrust dive "
    "dread elect employ enjoy examine expect fail fear fill finish fish gather hammer hand hate ignore injure join "
    "knock launch like listen look manage melt mention misplace miss mock move need neglect observe oil operate "
    "overlook park pass plug post pour pronounce protect pull raise recall recognise recommend refuse rent replace "
    "rob saw scatter score scream seem sentence serve shout slam slip spray stamp start step stroke study sue suggest "
    "surprise talk threaten tie tighten touch transplant turn unlock vomit wait want warm wipe yell"
)

# --- people and what they do to each other -----------------------------------------------------------------------

PERSON_ADJECTIVES = "old young tall quiet famous tired clever friendly retired".split()
#: a verb between people, and whom "because she ..." is about: the one who acts or the one acted upon
CAUSED_BY_PATIENT = {
    "praise": "had worked very hard", "thank": "had been so helpful", "congratulate": "had won the prize",
    "criticise": "had made a serious mistake", "scold": "had behaved badly", "admire": "was so brave",
    "comfort": "was crying", "rescue": "was in danger", "blame": "had caused the accident",
    "punish": "had broken the rules", "reward": "had done a wonderful job", "fire": "had stolen money",
}  # fmt: skip
CAUSED_BY_AGENT = {
    "call": "wanted some advice", "visit": "had a free afternoon", "phone": "needed some help",
    "annoy": "talked too loudly", "bore": "told the same story again", "disappoint": "had forgotten the promise",
    "amuse": "told such funny jokes", "betray": "was greedy", "deceive": "wanted the money", "interrupt": "had urgent news",
    "frighten": "wore a monster mask", "charm": "had a beautiful voice",
}  # fmt: skip
SOCIAL = (
    *CAUSED_BY_PATIENT,
    *CAUSED_BY_AGENT,
    "help",
    "follow",
    "invite",
    "warn",
    "greet",
    "hug",
    "interview",
    "push",
    "hire",
)
#: job -> what only that job does; for "she" between two people of known work
JOBS = {
    "doctor": "examined the wound, wrote a prescription, treated the fever", "chef": "cooked the soup, baked the pie, tasted the sauce",
    "pilot": "landed the plane, flew the jet, inspected the cockpit", "farmer": "milked the cow, fed the goats, ploughed the field",
    "teacher": "marked the exams, explained the lesson, praised the pupils", "lawyer": "defended the suspect, read the contract, won the trial",
    "singer": "recorded the song, rehearsed the melody, gave a concert", "gardener": "planted the roses, watered the flowers, cut the hedge",
    "painter": "finished the portrait, cleaned the brush, sketched the landscape", "plumber": "fixed the pipe, repaired the tap, unblocked the sink",
    "journalist": "wrote the article, published the interview, checked the headline",
    "tailor": "sewed the dress, ironed the suit, measured the jacket",
    "carpenter": "built the table, sawed the plank, sanded the chair", "librarian": "sorted the books, lent the novel, tidied the shelves",
    "detective": "solved the murder, found the fingerprint, followed the suspect",
    "sailor": "hoisted the sail, dropped the anchor, steered the boat",
}  # fmt: skip
JOB_NAMES = tuple(JOBS)
#: names among themselves: {p} {q} people, {o} {n} organisations, {l} {m} places, {x} a product, {t} a time
BUSINESS = (
    "0:{p} | =left | 1:{o} | LOC:in {l} | TMP:{t}", "0:{o} | =opened | 1:an office | LOC:in {l} | TMP:{t}",
    "0:{o} | =launched | 1:{x} | LOC:in {l}", "0:{p} | =bought | 1:{x} | 2:from {o}", "0:{o} | =hired | 1:{p} | TMP:{t}",
    "1:{p} | =was invited | 2:to {l} | 0:by {o}", "0:{p} | =moved | 2:from {l} to {m}", "0:{o} | =sued | 1:{n} | LOC:in {l}",
    "0:{p} | =met | 1:{q} | LOC:at {o}", "0:{p} | =wrote | 2:to {q} | LOC:from {l} | TMP:{t}",
    "0:{q} | =flew | 2:to {l} | TMP:{t}", "1:{x} | =was designed | 0:by {p} | LOC:in {l}",
    "0:{p} | =joined | 1:{o} | TMP:{t}", "0:{o} | =sold | 1:{n} | 2:to {p}", "0:{l} | =defeated | 1:{m} | LOC:in the final",
)  # fmt: skip
#: (giver's verb, taker's verb): "Anna lent Tom the drill" is "Tom borrowed the drill from Anna"
CONVERSES = (
    ("sold", "bought"),
    ("lent", "borrowed"),
    ("gave", "received"),
    ("handed", "got"),
    ("rented", "hired"),
)
TIMES = (
    "yesterday, last week, last month, on Monday, on Tuesday, on Friday, on Sunday, in March, in August, at noon, at dawn, "
    "at midnight, in the morning, in the evening, after lunch, before breakfast, during the holidays"
).split(", ")
DAYS = tuple(time for time in TIMES if time.startswith(("last", "on ", "yester")))
MANNERS = "quickly quietly carefully slowly suddenly gladly proudly calmly".split()
GOODS = "drill ladder car bicycle guitar tent boat camera book coat piano suitcase lamp table".split()

# --- synonyms and contrasts --------------------------------------------------------------------------------------

#: two words of one meaning against two of another, between people
SOCIAL_CONTRASTS = (
    ("praised commended", "criticised condemned"), ("helped assisted", "hindered obstructed"),
    ("hugged embraced", "hit struck"), ("rescued saved", "abandoned deserted"), ("loved adored", "hated despised"),
    ("trusted believed", "doubted distrusted"), ("hired employed", "fired dismissed"),
    ("defended protected", "attacked assaulted"),
)  # fmt: skip
#: the same for what people do with things, and the things that suit
THING_CONTRASTS = (
    ("bought purchased", "rented hired", "car bicycle boat tent piano house"),
    ("repaired fixed", "broke damaged", "bicycle camera lamp clock engine radio"),
    ("started began", "finished completed", "report letter novel painting essay project"),
    ("built constructed", "demolished destroyed", "house wall bridge tower shed theatre"),
    ("found discovered", "lost misplaced", "ring letter key map coin necklace"),
    ("opened unlocked", "closed shut", "door gate window box safe drawer"),
    ("rejected refused", "accepted approved", "offer plan proposal application request loan"),
    ("hid concealed", "showed displayed", "statue letter medal photograph necklace painting"),
    ("collected gathered", "scattered spread", "+leaves +papers +coins +seeds +stones +toys"),
)
#: pairs of words of one meaning, two pairs each that exclude each other
NOUN_CONTRASTS = (
    ("the doctor, the physician", "the lawyer, the attorney"), ("the film, the movie", "the concert, the recital"),
    ("the ship, the vessel", "the car, the automobile"), ("the present, the gift", "the bill, the invoice"),
    ("the child, the kid", "the old man, the elderly man"), ("the picture, the image", "the recording, the tape"),
    ("the forest, the woods", "the sea, the ocean"), ("the rabbit, the bunny", "the donkey, the mule"),
    ("the journey, the trip", "the dinner, the evening meal"), ("the rubbish, the garbage", "the furniture, the tables and chairs"),
)  # fmt: skip
#: what people feel or do about any of these
ATTITUDE_CONTRASTS = (
    ("liked appreciated", "disliked detested"), ("loved adored", "hated despised"), ("noticed spotted", "missed overlooked"),
    ("praised commended", "criticised condemned"),
)  # fmt: skip
TIME_CONTRASTS = (
    ("at dawn, at sunrise", "at dusk, at sunset"),
    ("at noon, at midday", "at midnight, in the middle of the night"),
    ("in the autumn, in the fall", "in the spring, in the springtime"),
    ("in December, at Christmas", "in July, in the summer"),
)
#: clauses for "before" and "after"
STEPS = (
    "left the house, called a taxi, ate breakfast, read the newspaper, closed the window, fed the dog, washed the car, "
    "paid the bill, wrote the letter, cleaned the kitchen, watered the garden, packed the suitcase, bought the tickets, "
    "turned off the lamp, made the coffee, opened the door"
).split(", ")
#: things to do or not to do; "managed to" makes them happen, "failed to" keeps them from it
DEEDS = (
    "finish:report, repair:engine, open:safe, win:race, catch:train, find:key, sell:house, solve:puzzle, climb:wall, "
    "learn:poem, save:dog, pass:exam, translate:letter, pay:debt, stop:bus, cross:river"
).split(", ")
HAPPENS = ("managed to", "remembered to", "bothered to", "dared to")
HAPPENS_NOT = ("failed to", "forgot to", "refused to", "declined to")
TRUE_REPORTS = ("knew", "realised", "noticed", "was glad", "proved", "remembered")
FALSE_REPORTS = (
    "wrongly believed",
    "pretended",
    "falsely claimed",
    "wrongly assumed",
    "mistakenly thought",
    "lied",
)
EVERYDAY = "noticed saw drew described bought found mentioned photographed wanted admired".split()
#: kind -> nouns of which "a <kind>" is said in everyday speech; used for entailment by a broader word
BROADER = {
    "animal": "horse goat cow wolf rabbit zebra cat dog tiger bear", "fruit": "banana apple melon pear peach lemon cherry plum",
    "tool": "hammer drill shovel rake saw spade wrench screwdriver", "vehicle": "tractor van truck bus taxi car lorry motorcycle",
    "garment": "dress suit shirt skirt scarf coat jacket jumper", "flower": "rose tulip orchid daisy lily sunflower",
    "instrument": "violin cello piano guitar harp trumpet flute drum", "bird": "parrot eagle penguin sparrow owl pigeon robin swan",
    "weapon": "pistol sword rifle dagger spear cannon", "vegetable": "carrot onion cabbage potato turnip leek",
}  # fmt: skip

# --- verdicts and feelings ---------------------------------------------------------------------------------------

REVIEWED = {  # what is judged: good words, bad words
    "film play novel concert show story": (
        "brilliant exciting moving funny charming superb clever gripping", "dull boring tedious awful clumsy dreadful silly terrible"),
    "meal soup dessert breakfast dinner pizza": (
        "delicious tasty superb excellent wonderful perfect", "disgusting bland awful terrible horrible dreadful"),
    "hotel room flat cabin restaurant": (
        "clean charming comfortable lovely wonderful cosy", "dirty filthy gloomy shabby horrible noisy"),
    "service trip lesson tour party": (
        "excellent pleasant wonderful helpful delightful great", "terrible unpleasant useless miserable poor awful"),
}  # fmt: skip
#: verdicts: {x} the thing, {at} where or by whom chosen, {w} the adjective that counts, {v} one of the other polarity;
#: sign: does {w} hold?
VERDICTS = (
    ("1:the {x} {at} | =was | 2:{d} {w}", 1), ("1:the {x} {at} | =was not | 2:{w} | MNR:at all", -1),
    ("1:the {x} {at} | =was | 2:anything but {w}", -1), ("1:the {x} {at} | =was | 2:far from {w}", -1),
    ("1:the {x} {at} | =was | 2:nothing but {w}", 1),
    ("1:the {x} {at} | =was said to be | 2:{w} | , but | it | =was not", -1),
    ("1:the {x} {at} | =was said to be | 2:{w} | , and | it | =was", 1),
    ("0:{p} | =had expected | 1:a {v} {x} {at} | , but | it | =was | {d} {w}", 1),
    ("although | the start | =was | {v} | , | 1:the {x} {at} | =was | 2:{d} {w} | MNR:on the whole", 1),
    ("1:the {x} {at} | =looked | 2:{v} | TMP:at first | , but | it | =was | {d} {w} | TMP:in the end", 1),
    ("1:the {x} {at} | =was | 2:{d} {w} | , | although | some people | =called | it | {v}", 1),
    ("0:{p} | =called | 1:the {x} {at} | 2:{w} | , and | everyone | =agreed", 1),
    ("0:{p} | =called | 1:the {x} {at} | 2:{w} | , but | nobody else | =agreed", -1),
)  # fmt: skip
#: verdicts that say it plainly: half of the rows, as in reviews; the rest turn the word round or weigh two
PLAIN_VERDICTS = tuple((frame, sign) for frame, sign in VERDICTS if sign > 0 and "{v}" not in frame)
INTENSIFIERS = "very really quite truly rather".split()

#: emotion -> (share of the rows, adjectives that name it, situations of the one who feels, {f})
EMOTIONS = {
    "joy": (0.22, "happy delighted overjoyed proud thrilled", (
        "0:{f} | =won | 1:the first prize", "0:{f} | =hugged | 1:an old friend | LOC:at the airport",
        "1:{f} | =received | 2:a wonderful present", "0:{f} | =danced | LOC:in the sunny garden",
        "0:{f} | =passed | 1:the final exam", "0:{f} | =held | 1:the new baby | TMP:for the first time")),
    "neutral": (0.22, "", (
        "0:{f} | =put | 1:the cups | LOC:on the table", "0:{f} | =waited | LOC:at the bus stop",
        "0:{f} | =read | 1:the train timetable", "0:{f} | =bought | 1:a litre of milk",
        "0:{f} | =wrote | 1:the date | LOC:on the form", "0:{f} | =parked | 1:the car | LOC:near the office")),
    "sadness": (0.16, "sad lonely heartbroken gloomy miserable", (
        "0:{f} | =buried | 1:the old dog | LOC:in the garden", "0:{f} | =missed | 1:a dead friend",
        "0:{f} | =failed | 1:the final exam | TMP:again", "0:{f} | =wept | LOC:at the funeral",
        "0:{f} | =said | 1:goodbye | 2:to the children", "1:{f} | =was left | LOC:alone in the empty house")),
    "anger": (0.14, "angry furious outraged annoyed bitter", (
        "0:{f} | =slammed | 1:the door", "0:{f} | =shouted | 2:at the rude driver",
        "0:{f} | =tore up | 1:the unfair contract", "1:{f} | =was cheated | 0:by a greedy salesman",
        "0:{f} | =caught | 1:the thief of the bicycle", "1:{f} | =was insulted | 0:by a drunk stranger")),
    "fear": (0.11, "afraid scared terrified anxious frightened", (
        "0:{f} | =heard | 1:strange footsteps | LOC:in the dark cellar", "0:{f} | =ran | 2:from the growling bear",
        "0:{f} | =saw | 1:a man with a knife | LOC:behind the car", "0:{f} | =hid | LOC:under the bed | TMP:during the bombing",
        "0:{f} | =hung | LOC:from the broken ladder")),
    "surprise": (0.09, "surprised astonished amazed stunned startled", (
        "0:{f} | =met | 1:a cousin | 2:by sheer chance | LOC:in the desert", "0:{f} | =found | 1:an unknown painting | LOC:behind the wall",
        "0:{f} | =saw | 1:a penguin | LOC:in the supermarket", "1:{f} | =was told | 2:the completely unexpected news",
        "0:{f} | =opened | 1:the door | MNR:to a crowd of unexpected guests")),
    "disgust": (0.06, "disgusted sickened nauseous revolted repelled", (
        "0:{f} | =found | 1:a dead rat | LOC:in the soup", "0:{f} | =smelled | 1:the rotten meat",
        "0:{f} | =stepped | LOC:into warm vomit", "0:{f} | =bit | 2:into a mouldy sandwich",
        "0:{f} | =touched | 1:the slimy hair | LOC:in the drain")),
}  # fmt: skip
#: two people in one situation: the frame with {p} and {q}, what {p} feels, what {q} feels ("" where one cannot tell)
ENCOUNTERS = (
    ("0:{p} | =beat | 1:{q} | LOC:in the final", "joy", "sadness"),
    ("0:{p} | =defeated | 1:{q} | LOC:in the great race", "joy", "sadness"),
    ("0:{p} | =lost | 1:the match | 2:against {q}", "sadness", "joy"),
    ("0:{p} | =threatened | 1:{q} | MNR:with a knife", "anger", "fear"),
    ("0:{p} | =yelled | 2:at {q} | MNR:with a raised fist", "anger", "fear"),
    ("0:{p} | =fled | 2:from {q} | LOC:in the dark alley", "fear", "anger"),
    ("0:{p} | =surprised | 1:{q} | MNR:with a party", "joy", "surprise"),
    ("0:{p} | =won | 1:the job | 2:instead of {q}", "joy", "anger"),
    ("0:{p} | =broke | 1:the promise | 2:to {q}", "", "anger"),
    ("0:{p} | =insulted | 1:{q} | LOC:in front of the guests", "", "anger"),
    ("0:{p} | =robbed | 1:{q} | LOC:in the park", "", "fear"),
    ("0:{p} | =vomited | LOC:over {q}", "", "disgust"),
    ("0:{p} | =handed | 2:{q} | 1:the annual report", "neutral", "neutral"),
    ("0:{p} | =gave | 2:{q} | 1:the train timetable", "neutral", "neutral"),
)
#: clauses that only point at the one who feels
AFTERWARDS = (
    "{f} | =told | the family | about it", "{f} | =wrote | about it | in a diary", "{f} | =talked | about it | all evening",
    "{f} | =kept thinking | about it", "{f} | =called | home | about it",
)  # fmt: skip

# --- words with two senses ---------------------------------------------------------------------------------------

#: (lemma, part of speech) -> sense -> frames; ``*`` marks the word. A sense is named by the kind of its meaning.
AMBIGUOUS = {
    ("bat", "N"): {
        "animal": ("0:a small *bat | =flew | LOC:out of the cave", "0:{p} | =photographed | 1:the *bat | LOC:in the dark attic",
                   "0:the *bat | =caught | 1:moths | TMP:in the night", "1:the wing of the *bat | =was examined | 0:by {p}"),
        "tool": ("0:{p} | =swung | 1:the wooden *bat | LOC:at the ball", "0:{p} | =broke | 1:the *bat | LOC:in the cricket match",
                 "0:{p} | =bought | 1:a baseball *bat | LOC:in the sports shop", "1:the ball | =was hit | 0:by {p} | MNR:with the *bat")},
    ("bank", "N"): {
        "wealth": ("0:{p} | =borrowed | 1:money | 2:from the *bank", "0:the *bank | =refused | 1:the loan | 2:to {p}",
                   "0:{p} | =opened | 1:an account | LOC:at the *bank", "1:the *bank | =was robbed | 0:by {p}"),
        "landscape": ("0:{p} | =swam | 2:to the muddy *bank", "0:{p} | =fished | LOC:from the grassy *bank of the river",
                      "0:willows | =grew | LOC:along the *bank of the stream", "0:{p} | =tied | 1:the canoe | LOC:to the *bank")},
    ("pitcher", "N"): {
        "person": ("0:the *pitcher | =threw | 1:the ball | 2:to {p}", "0:{p} | =cheered | 1:the young *pitcher | LOC:at the stadium",
                   "0:the team | =hired | 1:a new *pitcher | LOC:from {l}", "1:the *pitcher | =was injured | LOC:in the baseball game"),
        "tool": ("0:{p} | =filled | 1:the *pitcher | 2:with cold water", "0:{p} | =poured | 1:lemonade | 2:from the glass *pitcher",
                 "1:the clay *pitcher | =stood | LOC:on the kitchen table", "1:the *pitcher | =was washed | 0:by {p} | LOC:in the sink")},
    ("crane", "N"): {
        "animal": ("0:the *crane | =spread | 1:the white wings | LOC:above the lake", "0:{p} | =watched | 1:a *crane | LOC:in the marsh",
                   "0:the *crane | =laid | 1:two eggs | LOC:in the nest", "0:{p} | =fed | 1:the hungry *crane | LOC:in the zoo"),
        "machine": ("0:the *crane | =lifted | 1:the steel beams", "0:{p} | =operated | 1:the *crane | LOC:at the harbour",
                    "1:the containers | =were moved | 0:by the *crane", "0:{p} | =repaired | 1:the motor of the *crane")},
    ("mouse", "N"): {
        "animal": ("0:the *mouse | =ate | 1:the cheese | LOC:in the kitchen of {p}", "0:the cat of {p} | =chased | 1:the *mouse",
                   "0:{p} | =found | 1:a dead *mouse | LOC:in the cellar", "0:a grey *mouse | =hid | LOC:under the straw"),
        "machine": ("0:{p} | =clicked | 1:the left button of the *mouse", "0:{p} | =connected | 1:the *mouse | 2:to the laptop",
                    "0:{p} | =moved | 1:the cursor | MNR:with the *mouse", "0:{p} | =bought | 1:a keyboard and a wireless *mouse")},
    ("seal", "N"): {
        "animal": ("0:the *seal | =swam | LOC:under the ice", "0:{p} | =fed | 1:the *seal | 2:with fresh fish",
                   "0:{p} | =photographed | 1:a baby *seal | LOC:on the beach", "0:the *seal | =dived | LOC:into the cold sea"),
        "document": ("0:{p} | =broke | 1:the wax *seal | LOC:on the envelope", "0:{p} | =stamped | 1:the treaty | MNR:with the royal *seal",
                     "1:the official *seal | =was | 2:missing | LOC:from the contract of {p}", "0:the notary | =put | 1:a *seal | LOC:on the document")},
    ("trunk", "N"): {
        "body": ("0:the elephant | =lifted | 1:the log | MNR:with the *trunk", "0:the elephant | =sprayed | 1:{p} | MNR:with water from the *trunk",
                 "0:{p} | =stroked | 1:the *trunk of the old elephant", "0:the calf | =curled | 1:the little *trunk | LOC:around a banana"),
        "vehicle": ("0:{p} | =put | 1:the suitcase | LOC:in the *trunk of the car", "0:{p} | =opened | 1:the *trunk of the taxi",
                    "0:{p} | =hid | 1:the spare tyre | LOC:in the *trunk", "0:the police | =searched | 1:the *trunk of the stolen car")},
    ("palm", "N"): {
        "plant": ("0:coconuts | =fell | LOC:from the tall *palm", "0:{p} | =slept | LOC:in the shade of a *palm",
                  "0:{p} | =planted | 1:a *palm | LOC:on the beach in {l}", "0:the monkey | =climbed | 1:the *palm | LOC:on the island"),
        "body": ("0:{p} | =held | 1:the coin | LOC:in the *palm of the left hand", "0:the fortune teller | =read | 1:the *palm of {p}",
                 "0:{p} | =wiped | 1:a sweaty *palm | LOC:on the trousers", "1:the *palm of the glove | =was torn | TMP:after the fall")},
    ("star", "N"): {
        "landscape": ("0:{p} | =observed | 1:a distant *star | MNR:with the telescope", "0:the *star | =shone | LOC:in the night sky over {l}",
                      "0:{p} | =measured | 1:the light of the dying *star", "0:the planet | =circled | 1:a small red *star"),
        "person": ("0:{p} | =interviewed | 1:the young *star | LOC:on the red carpet", "0:the *star | =signed | 1:autographs | 2:for {p}",
                   "0:the fans | =screamed | TMP:when | the *star of the film | =arrived", "0:the pop *star | =gave | 1:a concert | LOC:in {l}")},
    ("spring", "N"): {
        "happening": ("0:{p} | =planted | 1:the tulips | TMP:in the early *spring", "0:the birds | =returned | TMP:in the *spring",
                      "0:the snow | =melted | LOC:in {l} | TMP:in the *spring", "0:{p} | =loved | 1:the warm days of *spring"),
        "machine": ("0:{p} | =replaced | 1:the rusty *spring of the mattress", "1:the metal *spring | =was bent | LOC:inside the clock",
                    "0:{p} | =oiled | 1:the *spring of the garage door", "0:the mechanic | =tightened | 1:the *spring | LOC:in the lock")},
    ("letter", "N"): {
        "document": ("0:{p} | =posted | 1:the *letter | 2:to an uncle in {l}", "0:{p} | =received | 1:a long *letter | 2:from a cousin",
                     "1:the love *letter | =was burned | 0:by {p}", "0:{p} | =put | 1:the *letter | LOC:in an envelope"),
        "idea": ("0:the child of {p} | =learned | 1:the first *letter of the alphabet", "0:{p} | =wrote | 1:a capital *letter | LOC:at the start of the word",
                 "1:the last *letter of the word | =was | 2:missing | LOC:in the spelling test", "0:{p} | =pronounced | 1:every *letter of the long name")},
    ("nail", "N"): {
        "body": ("0:{p} | =painted | 1:every *nail | MNR:with red polish", "0:{p} | =bit | 1:the *nail of the thumb",
                 "0:{p} | =cut | 1:a broken *nail | MNR:with scissors", "1:the *nail of the little finger | =was | 2:dirty"),
        "tool": ("0:{p} | =hammered | 1:the *nail | LOC:into the wall", "0:{p} | =hung | 1:the picture | LOC:on a rusty *nail",
                 "0:the carpenter | =pulled | 1:the *nail | LOC:from the plank", "0:{p} | =joined | 1:the boards | MNR:with a long *nail")},
    ("chest", "N"): {
        "body": ("0:the doctor | =listened | 2:to the *chest of {p}", "0:{p} | =felt | 1:a sharp pain | LOC:in the *chest",
                 "1:the bullet | =hit | 1:the soldier | LOC:in the *chest", "0:{p} | =crossed | 1:both arms | LOC:over the *chest"),
        "tool": ("0:the pirates | =buried | 1:the *chest of gold", "0:{p} | =kept | 1:old blankets | LOC:in a wooden *chest",
                 "0:{p} | =locked | 1:the heavy oak *chest", "0:{p} | =found | 1:a treasure *chest | LOC:in the wreck")},
    ("match", "N"): {
        "happening": ("0:{p} | =scored | LOC:in the football *match", "0:the team of {p} | =lost | 1:the *match",
                      "0:{p} | =watched | 1:the tennis *match | LOC:on television", "0:the referee | =stopped | 1:the *match | LOC:in {l}"),
        "tool": ("0:{p} | =lit | 1:the candle | MNR:with a *match", "0:{p} | =struck | 1:a *match | LOC:in the darkness",
                 "0:the burning *match | =fell | LOC:on the straw", "0:{p} | =dropped | 1:the *match | LOC:into the ashtray")},
    ("club", "N"): {
        "person": ("0:{p} | =joined | 1:the chess *club | LOC:in {l}", "0:the members of the *club | =elected | 1:{p}",
                   "0:the *club | =held | 1:a meeting | TMP:every week", "0:{p} | =paid | 1:the yearly fee of the *club"),
        "tool": ("0:{p} | =hit | 1:the golf ball | MNR:with an iron *club", "0:the caveman | =carried | 1:a heavy *club",
                 "0:{p} | =swung | 1:the *club | LOC:on the golf course", "0:the guard | =beat | 1:{p} | MNR:with a wooden *club")},
    ("court", "N"): {
        "law": ("0:the *court | =sentenced | 1:{p} | 2:to two years in prison", "0:{p} | =appeared | LOC:in *court | MNR:as a witness",
                "0:the lawyers of {p} | =left | 1:the *court | TMP:after the verdict", "0:{p} | =appealed | 2:to a higher *court"),
        "sport": ("0:{p} | =served | 1:the ball | LOC:across the tennis *court", "0:the players | =warmed up | LOC:on the *court",
                  "0:{p} | =painted | 1:the lines of the basketball *court", "0:{p} | =slipped | LOC:on the wet *court | TMP:during the rally")},
    ("plant", "N"): {
        "plant": ("0:{p} | =watered | 1:the green *plant | LOC:on the window sill", "1:the leaves of the *plant | =turned | 2:yellow",
                  "0:{p} | =bought | 1:a tropical *plant | LOC:at the florist", "0:the *plant | =needed | 1:sun and good soil"),
        "building": ("0:the car *plant | =employed | 1:many workers in {l}", "0:{p} | =managed | 1:a chemical *plant",
                     "0:the workers | =went | LOC:on strike at the steel *plant", "0:{p} | =inspected | 1:the machines of the *plant")},
    ("speaker", "N"): {
        "person": ("0:the *speaker | =thanked | 1:the audience in {l}", "0:{p} | =invited | 1:a *speaker | 2:to the conference",
                   "0:the *speaker | =answered | 1:the questions of {p}", "0:the nervous *speaker | =forgot | 1:the second half of the talk"),
        "machine": ("0:{p} | =plugged | 1:the *speaker | 2:into the stereo", "0:loud music | =came | LOC:from the broken *speaker",
                    "0:{p} | =turned down | 1:the volume of the *speaker", "0:{p} | =repaired | 1:the cable of the *speaker")},
    ("organ", "N"): {
        "body": ("0:the surgeon | =transplanted | 1:the *organ", "0:{p} | =studied | 1:the largest inner *organ of the body",
                 "0:{p} | =waited | 2:for a donor *organ | LOC:in the hospital", "0:the disease | =damaged | 1:an inner *organ of {p}"),
        "artwork": ("0:{p} | =played | 1:the *organ | LOC:in the church", "1:the pipes of the *organ | =were cleaned | 0:by {p}",
                    "0:{p} | =composed | 1:a fugue | 2:for the *organ", "0:the sound of the *organ | =filled | 1:the cathedral of {l}")},
    ("ring", "N"): {
        "wealth": ("0:{p} | =wore | 1:a gold *ring | LOC:on the finger", "0:the jeweller | =sold | 1:the diamond *ring | 2:to {p}",
                   "0:{p} | =lost | 1:the wedding *ring", "0:the groom | =put | 1:the *ring | LOC:on the hand of the bride"),
        "sport": ("0:the boxer | =climbed | LOC:into the *ring", "0:{p} | =knocked out | 1:the champion | LOC:in the *ring",
                  "0:the crowd | =stood | LOC:around the boxing *ring", "0:the wrestlers | =left | 1:the *ring | TMP:after the last round")},
    ("branch", "N"): {
        "plant": ("0:{p} | =sawed | 1:the dead *branch | LOC:from the tree", "0:a bird | =sang | LOC:on the highest *branch",
                  "0:the storm | =broke | 1:a *branch of the oak", "0:{p} | =hung | 1:the swing | LOC:on a thick *branch"),
        "building": ("0:the company | =opened | 1:a new *branch | LOC:in {l}", "0:{p} | =managed | 1:the local *branch of the bank",
                     "0:the firm | =closed | 1:the *branch | TMP:after weak sales", "0:{p} | =moved | 2:to another *branch of the company")},
    ("fire", "V"): {
        "breaking": ("0:the boss | =*fired | 1:{p} | 2:for laziness", "0:the company | =*fired | 1:half of the staff",
                     "1:the lazy secretary | =was *fired | 0:by {p}", "1:{p} | =was *fired | LOC:from the new job in {l}"),
        "motion": ("0:the soldier | =*fired | 1:the rifle | LOC:at the target", "0:{p} | =*fired | 1:three shots | LOC:into the air",
                   "1:the cannon | =was *fired | LOC:from the castle", "0:{p} | =*fired | 1:an arrow | LOC:over the wall")},
    ("draw", "V"): {
        "making": ("0:{p} | =*drew | 1:a portrait of the cat", "0:the child of {p} | =*drew | 1:a house with a pencil",
                   "1:the map | =was *drawn | 0:by {p}", "0:{p} | =*drew | 1:a circle | LOC:on the blackboard"),
        "motion": ("0:two horses | =*drew | 1:the carriage of {p}", "0:the oxen | =*drew | 1:the plough | LOC:across the field",
                   "0:{p} | =*drew | 1:a bucket of water | LOC:from the well", "1:the sledge | =was *drawn | 0:by six dogs")},
    ("run", "V"): {
        "motion": ("0:{p} | =*ran | 1:ten miles | LOC:in the park", "0:{p} | =*ran | LOC:across the street",
                   "0:the children | =*ran | 2:to the ice cream van", "0:the dog of {p} | =*ran | 2:after the ball"),
        "having": ("0:{p} | =*ran | 1:a small hotel | LOC:in {l}", "0:{p} | =*ran | 1:the family business | TMP:for many years",
                   "1:the charity | =was *run | 0:by {p}", "0:two sisters | =*ran | 1:the restaurant | LOC:in {l}")},
    ("miss", "V"): {
        "feeling": ("0:{p} | =*missed | 1:the family | LOC:in the lonely flat", "0:the children | =*missed | 1:a dead grandmother",
                    "0:{p} | =*missed | 1:the old friends from school", "0:the dog | =*missed | 1:{p} | TMP:during the holidays"),
        "breaking": ("0:{p} | =*missed | 1:the last train to {l}", "0:the striker | =*missed | 1:the goal",
                     "0:{p} | =*missed | 1:the bus | TMP:by two minutes", "0:the arrow | =*missed | 1:the target")},
    ("charge", "V"): {
        "having": ("0:the hotel | =*charged | 2:{p} | 1:a hundred dollars", "0:the plumber | =*charged | 1:too much money | 2:for the repair",
                   "0:{p} | =*charged | 2:the guests | 1:a small fee", "1:the customers | =were *charged | 2:twice | 0:by {p}"),
        "machine": ("0:{p} | =*charged | 1:the battery of the phone", "0:{p} | =*charged | 1:the electric car | LOC:in the garage",
                    "1:the laptop | =was *charged | 0:by {p}", "0:the solar panel | =*charged | 1:the lamp | LOC:in the tent")},
    ("raise", "V"): {
        "caring": ("0:{p} | =*raised | 1:four children | LOC:in {l}", "1:{p} | =was *raised | 0:by a kind aunt",
                   "0:the farmer | =*raised | 1:sheep and pigs", "0:{p} | =*raised | 1:the orphan | MNR:like a son"),
        "motion": ("0:{p} | =*raised | 1:the right hand | LOC:in the classroom", "0:the sailors | =*raised | 1:the flag",
                   "0:{p} | =*raised | 1:the glass | MNR:for a toast", "1:the heavy curtain | =was *raised | 0:by {p}")},
    ("bear", "V"): {
        "motion": ("0:the servants | =*bore | 1:the coffin | LOC:to the grave", "0:{p} | =*bore | 1:the torch | LOC:through {l}",
                   "0:six men | =*bore | 1:the golden statue", "1:the wounded king | =was *borne | LOC:from the battlefield"),
        "feeling": ("0:{p} | =could not *bear | 1:the noise of the traffic", "0:{p} | =could hardly *bear | 1:the pain",
                    "0:the widow | =*bore | 1:the grief | MNR:with great patience", "1:the heat in {l} | =was *borne | MNR:without complaint")},
}  # fmt: skip
